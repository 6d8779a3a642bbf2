#!/bin/sh
# Who used which object, on a Ceph on this machine: sh docs/audit.sh bin/vault bin/testcloud
# It installs Ceph the first time (Debian, root), and nothing else.
set -eu
. "$(dirname "$0")/try.sh"
HOME=$(mktemp -d)
trap 'exec 3>&-; wait; rm -rf "$HOME"' EXIT
mkdir "$HOME/bin"
cp "$1" "$HOME/bin/vault"
cp "$2" "$HOME/bin/testcloud"
PATH=$HOME/bin:$PATH
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT
cd "$HOME"
done='The demo is done: every command ended with the expected exit code.'

# It says what it installs before it does.
testcloud install rgw

# The gateway and the issuer end when their standard input does: with this script.
mkfifo stop
testcloud up --until-eof --ops-log aws <stop >server.json 2>up.log &
exec 3>stop
until [ -s server.json ]; do
	kill -0 $! 2>/dev/null || { cat up.log >&2; exit 1; }
	sleep 0.2
done
field() { sed -n "s/.*$1.*/\\1/p" server.json; }
ENDPOINT=$(field '"url":"\([^"]*\)","region"')
ISSUER=$(field '"issuer":{"url":"\([^"]*\)"')
THUMBPRINT=$(field '"thumbprint":"\([^"]*\)"')
AWS_ACCESS_KEY_ID=$(field '"owner":{"access_key_id":"\([^"]*\)"')
AWS_SECRET_ACCESS_KEY=$(field '"owner":{[^}]*"secret_key":"\([^"]*\)"')
A=$(field '"sessions":\[{"wallet":"\([^"]*\)"')
B=$(field '},{"wallet":"\([^"]*\)"')
SESSION_A=$(field '"sessions":\[{[^}]*"token":"\([^"]*\)"')
SESSION_B=$(field '},{"wallet":[^}]*"token":"\([^"]*\)"')
OPSLOG=$(field '"ops_log":"\([^"]*\)"')
export ENDPOINT ISSUER THUMBPRINT A B SESSION_A SESSION_B

# settled waits until the gateway has written the records of the requests so far.
settled() {
	n=-1
	while [ "$n" != "$(wc -c <"$OPSLOG")" ]; do
		n=$(wc -c <"$OPSLOG")
		sleep 1
	done
}

say 'The operator sets up two tenants'
try 'env | grep -E "^(ENDPOINT|ISSUER|A|B)=" | sort'
try 'vault policy aws --dialect rgw --bucket vault --role agents --issuer $ISSUER --thumbprint $THUMBPRINT --for $A --for $B >policy.json'
try 'testcloud apply --server server.json --bucket vault --role agents <policy.json'
OBJECTVAULT_STORE="s3://vault?endpoint=$ENDPOINT&role=arn:aws:iam:::role/agents"
IDENTITY_A="broker+$ISSUER?session=env:SESSION_A"
IDENTITY_B="broker+$ISSUER?session=env:SESSION_B"
export OBJECTVAULT_STORE IDENTITY_A IDENTITY_B
try 'vault init'

say 'Tenant A stores a credential and reads it'
try 'printf %s sk-or-v1-demo-0123456789 | vault put openrouter --identity "$IDENTITY_A" --log a.log'
try 'vault get openrouter --identity "$IDENTITY_A" --log a.log >value'
try 'cat a.log'

say 'Tenant B tries to read it, and is refused'
# A tag that the tokens do not carry blinds the check of the client: the gateway answers.
try 'vault get openrouter --identity "$IDENTITY_B" --tenant $A --store "$OBJECTVAULT_STORE&tag=no-such-tag"' 13

say 'Tenant A reads it again'
try 'vault get openrouter --identity "$IDENTITY_A" --log a.log >value'
settled
cp "$OPSLOG" ops.log

say 'The operator sees both'
try 'vault audit --from ops.log --bucket vault openrouter'
try 'vault audit --from ops.log --bucket vault --failed --json | grep -o "\"verb.*" | head -n 1'

say 'Which requests did the vault of tenant A send?'
try 'vault audit --from ops.log --from a.log --bucket vault openrouter --tenant $A | cut -f 1,4,6,11,12'

say 'In 90 days'
try 'vault audit summary --from ops.log --bucket vault --tenant $A'

printf '\n%s\n' "$done"
