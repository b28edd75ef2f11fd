"""A server of tasks: examples come in over HTTP, answers go out, and what was acknowledged stays.

`serving.py` starts it, `app.py` has the routes, `tasks.py` what they do; `storage.py` keeps tasks
in SQLite, `answering.py` adapts models and answers many queries at once, `batching.py` gathers
them. The page at `/` is in `page/`. FastAPI and uvicorn are the extra `serve`; nothing else of the
package needs them.
"""
