"""What tests of other packages build on: the contract suites of the ports. Not needed to run Seamless."""
