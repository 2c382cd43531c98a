"""The least a FastAPI route can do: answer. What the webhook door is measured against, on the same server with the same settings."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook() -> dict[str, str]:
    """Answer, and nothing else: the body is not even read."""
    return {"status": "accepted"}
