"""What every launched HTTP service shares: port, status file, tokens, inactivity, drain, errors, metrics, logs.

A service implements `seamless_service.service.Service` and calls `seamless_service.run.run_service`. A process
that has an HTTP server of its own uses the parts: `binding`, `status_file`, `access`, `activity`.
"""
