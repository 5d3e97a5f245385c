-- Users that SIP clients sign in as. Never the password: md5 and sha256 are hashes over name, realm and password.
CREATE TABLE sip_users (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    realm      TEXT NOT NULL,
    md5        TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, name)
);
