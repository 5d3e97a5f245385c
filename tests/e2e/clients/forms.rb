# HTTParty and Ruby's own client in the forms applications use. Prints one JSON line per answer.
require "httparty"
require "json"

URL = "#{ENV.fetch('CAUSEWAY_URL')}/api/v1/credentials/ice"
AUTHORIZATION = { "Authorization" => "Bearer #{ENV.fetch('CAUSEWAY_API_TOKEN')}" }
JSON_TYPE = AUTHORIZATION.merge("Content-Type" => "application/json")

def ask(name, **options)
  answer = HTTParty.post(URL, **options)
  puts JSON.generate(name: name, status: answer.code, body: answer.body)
end

ask("no body (c)", headers: AUTHORIZATION)
ask("form (d)", headers: AUTHORIZATION, body: { room: "demo-room", initiator_client: "alice", ttl: 600 })
ask("form with a nil (d)", headers: AUTHORIZATION, body: { room: nil, initiator_client: "alice", ttl: 600 })
ask("JSON (e)", headers: JSON_TYPE, body: { room: "demo-room", ttl: 600, receiver_client: nil }.to_json)
ask("empty JSON (e)", headers: JSON_TYPE, body: "{}")
ask("JSON type, no body (a)", headers: JSON_TYPE)
ask("query (g)", headers: AUTHORIZATION, query: { ttl: 600, room: "demo-room" })

uri = URI(URL)
request = Net::HTTP::Post.new(uri, AUTHORIZATION)
answer = Net::HTTP.start(uri.host, uri.port) { |http| http.request(request) }
puts JSON.generate(name: "Net::HTTP, no body (f)", status: answer.code.to_i, body: answer.body)
