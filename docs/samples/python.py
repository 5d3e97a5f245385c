"""Gets an ICE credential with httpx and prints the answer. Run: pip install httpx; python python.py

Environment: CAUSEWAY_URL (for example http://127.0.0.1:8080), CAUSEWAY_API_TOKEN.
"""

import json
import os

import httpx


def ice_credential(**parameters):
    response = httpx.post(
        f"{os.environ['CAUSEWAY_URL']}/api/v1/credentials/ice",
        headers={"Authorization": f"Bearer {os.environ['CAUSEWAY_API_TOKEN']}"},
        json=parameters,
        timeout=10,
    )
    if response.status_code != 200:
        raise RuntimeError(f"no credential: {response.status_code} {response.text}")
    return response.json()  # {"iceServers": [...], "expiresAt": "...", "region": "..."}


if __name__ == "__main__":
    print(json.dumps(ice_credential(room="demo-room", initiator_client="alice", receiver_client="bob", ttl=600)))
