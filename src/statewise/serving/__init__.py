"""``statewise serve``: models over HTTP and websockets, requests of many clients in one batch. See docs/serve.md.

It runs on ``statewise.runtime``; torch isn't loaded.
"""
