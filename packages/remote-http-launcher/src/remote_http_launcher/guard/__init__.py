"""rhl-guard: what an SSH key may do that runs it as its forced command, and nothing else.

The command text of the client is split without a shell (`words`), matched with the exact form of one helper
(`options`, `service_words`), its directories are resolved once (`paths`) and held against the policy of the key
(`policy`, `roles`), the decision is written down (`audit`), and the helper's own code runs in this process
(`dispatch`). No program is ever looked up by name.
"""
