# Gets an ICE credential with HTTParty and prints the answer. Run: gem install httparty; ruby ruby.rb
# Environment: CAUSEWAY_URL (for example http://127.0.0.1:8080), CAUSEWAY_API_TOKEN.
require "httparty"
require "json"

def ice_credential(parameters)
  response = HTTParty.post(
    "#{ENV.fetch('CAUSEWAY_URL')}/api/v1/credentials/ice",
    headers: { "Authorization" => "Bearer #{ENV.fetch('CAUSEWAY_API_TOKEN')}" },
    body: parameters,
    timeout: 10
  )
  raise "no credential: #{response.code} #{response.body}" unless response.code == 200

  response.parsed_response # { "iceServers" => [...], "expiresAt" => "...", "region" => "..." }
end

puts JSON.generate(ice_credential(room: "demo-room", initiator_client: "alice", receiver_client: "bob", ttl: 600))
