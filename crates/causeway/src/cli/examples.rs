//! What stands below the options in `--help`: commands to copy, each with what it is for.

pub(super) const PROGRAM: &str = "Examples:
  causeway serve
      a server on this machine, on defaults; it prints a token and the first commands
  causeway check --config /etc/causeway/causeway.toml
      before a start or a reload
  causeway probe turn:turn.example.org --username alice --password wonderland
      does the relay work from here, and if not, why
  causeway explain relay_ports
      what a key of the configuration does

Each command has examples of its own: causeway COMMAND --help";

pub(super) const SERVE: &str = "Examples:
  causeway serve
      a laptop: everything on defaults, data in ./causeway-data
  causeway serve --public-ip 203.0.113.7 --tls-cert fullchain.pem --tls-key privkey.pem --turn-tls-listen 0.0.0.0:5349
      one public server with TLS
  causeway serve --public-ip 203.0.113.7/10.0.0.5
      behind a NAT that maps 203.0.113.7 to 10.0.0.5
  CAUSEWAY_TURN_SECRET=s3cret causeway serve --config /etc/causeway/causeway.toml
      with a file; flags beat the environment, the environment beats the file

Secrets have no flag: causeway explain turn_secret";

pub(super) const CHECK: &str = "Examples:
  causeway check --config /etc/causeway/causeway.toml
      the file, with what the environment adds
  causeway check --config causeway.toml --relay-ports 50000-50999
      what a flag would change, too

It binds no port and writes nothing, and warns of certificates that cannot be read.
Exit code 0: good, 64: faulty.";

pub(super) const EXPLAIN: &str = "Examples:
  causeway explain relay_ports
      one key
  causeway explain kvs
      the keys of one table of the file; kvs.ice_ttl is one of them
  causeway explain
      all of them, as a page in Markdown
  causeway explain --example > causeway.toml
      a file to start from: every key with its default, commented out";

pub(super) const OPENAPI: &str = "Examples:
  causeway openapi > causeway.json
      for code generators; a running server has the same at /openapi.json";

pub(super) const CONSOLE_LINK: &str = "Examples:
  causeway console-link
      for the first owner of the server whose data is in ./causeway-data
  causeway console-link --config /etc/causeway/causeway.toml
      the same where the server has a file; run it as the server's user
  causeway console-link ann@example.net --data-dir /var/lib/causeway
      Ann has forgotten her password

The link is good once, for a day. The server need not stop.";

pub(super) const FAST_PATH: &str = "Examples:
  causeway fast-path status
      of the server whose API is at 127.0.0.1:8080
  causeway fast-path status --http-listen 127.0.0.1:9080
      of another one on this machine";

pub(super) const CREDENTIAL: &str = "Examples:
  CAUSEWAY_TURN_SECRET=s3cret causeway credential mint --user alice --ttl 600
      a user name and password that open the relay for ten minutes
  CAUSEWAY_TURN_SECRET=s3cret causeway credential inspect 1790371886:alice DdSyKug/rqO62k9Pv02/k1NpEyg=
      why they are refused";

pub(super) const MINT: &str = "Examples:
  CAUSEWAY_TURN_SECRET=s3cret causeway credential mint --user alice --ttl 600
      for ten minutes, with the secret of the environment
  causeway credential mint --config /etc/causeway/causeway.toml
      for a day, with the first turn_secret of the file, without a user id";

pub(super) const INSPECT: &str = "Examples:
  CAUSEWAY_TURN_SECRET=s3cret causeway credential inspect 1790371886:alice DdSyKug/rqO62k9Pv02/k1NpEyg=
      expired, made with another secret, or good
  causeway credential inspect alice wonderland --config packaging/examples/laptop.toml
      a static user of the file";
