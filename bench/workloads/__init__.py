"""One benchmark a module: what is measured (`BENCHMARK`) and the work itself, one function a peer."""
