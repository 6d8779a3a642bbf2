#!/bin/sh
# A key is created while the store is away, and is not lost: sh docs/offline.sh bin/vault bin/costest
set -eu
. "$(dirname "$0")/try.sh"
HOME=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$HOME"' EXIT
mkdir "$HOME/bin"
cp "$1" "$HOME/bin/vault"
cp "$2" "$HOME/bin/costest"
PATH=$HOME/bin:$PATH
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME SSL_CERT_FILE \
	TENCENTCLOUD_TOKEN TKE_ROLE_ARN TKE_WEB_IDENTITY_TOKEN_FILE \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS OBJECTVAULT_SPOOL \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT
cd "$HOME"

# serve starts the store at ADDRESS, or at a free one, and waits until it is ready.
serve() { # [ADDRESS]
	costest -bucket vault-1250000000 -secret-id AKIDdemo -secret-key demo-secret ${1:+-addr "$1"} >server.json 2>server.log &
	server=$!
	until [ -s server.json ]; do
		kill -0 $server 2>/dev/null || { cat server.log >&2; exit 1; }
		sleep 0.2
	done
	ENDPOINT=$(sed -n 's/.*"cos":"\([^"]*\)".*/\1/p' server.json)
}
stop() {
	kill $server
	wait $server 2>/dev/null || true
	server=
}

# A provider that creates a new key each time, and never shows it again.
cat >bin/mint <<'MINT'
#!/bin/sh
printf '{"name": "%s", "key": "sk-or-v1-%s", "price": "10 USD"}\n' "$1" "$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')"
MINT
chmod 755 bin/mint
serve
ADDRESS=${ENDPOINT#http://}
stop
TENCENTCLOUD_SECRET_ID=AKIDdemo
TENCENTCLOUD_SECRET_KEY=demo-secret
OBJECTVAULT_STORE="cos://vault-1250000000?region=ap-guangzhou&endpoint=$ENDPOINT"
export TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY OBJECTVAULT_STORE

say 'The store is away'
try 'vault init'
try 'vault capture openrouter --json key -- mint agent-7' 75
try 'vault spool ls | cut -f2,3'
try 'vault exec --env KEY=openrouter -- sh -c "echo the agent works with a key of \${#KEY} characters"'
try 'vault get anthropic' 20
try 'vault sync' 75

say 'The store is back'
serve "$ADDRESS"
try 'vault sync'
try 'vault ls'
try 'vault get openrouter | cut -c1-9'
try 'vault spool ls'
stop
