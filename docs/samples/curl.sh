#!/bin/sh
# Gets an ICE credential with curl and prints the answer.
# Environment: CAUSEWAY_URL (for example http://127.0.0.1:8080), CAUSEWAY_API_TOKEN.
set -eu
curl --fail-with-body --silent --show-error \
  -X POST "$CAUSEWAY_URL/api/v1/credentials/ice" \
  -H "Authorization: Bearer $CAUSEWAY_API_TOKEN" \
  -d "room=demo-room" \
  -d "initiator_client=alice" \
  -d "receiver_client=bob" \
  -d "ttl=600"
