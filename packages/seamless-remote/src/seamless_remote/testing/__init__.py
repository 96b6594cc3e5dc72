"""What tests of clients need: servers that misbehave on purpose, inside the test's own process."""
