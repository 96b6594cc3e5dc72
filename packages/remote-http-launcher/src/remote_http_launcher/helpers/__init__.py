"""The rhl-* commands: one module each, `main(arguments=None) -> int`. They start in 30 ms, so they import little."""
