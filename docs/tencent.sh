#!/bin/sh
# A walkthrough against a COS on this machine: sh docs/tencent.sh bin/vault bin/costest bin/testcloud
# costest is the COS, the CAM and the STS of the tests; testcloud is their issuer.
set -eu
. "$(dirname "$0")/try.sh"
HOME=$(mktemp -d)
trap 'exec 3>&-; wait; rm -rf "$HOME"' EXIT
mkdir "$HOME/bin"
cp "$1" "$HOME/bin/vault"
cp "$2" "$HOME/bin/costest"
cp "$3" "$HOME/bin/testcloud"
PATH=$HOME/bin:$PATH
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME SSL_CERT_FILE \
	TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY TENCENTCLOUD_TOKEN TKE_ROLE_ARN TKE_WEB_IDENTITY_TOKEN_FILE \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT
cd "$HOME"

# What is started ends when its standard input does: with this script.
mkfifo stop
exec 3<>stop
field() { sed -n "s/.*$2.*/\\1/p" "$1"; }
ready() {
	until [ -s "$1" ]; do
		kill -0 "$2" 2>/dev/null || { cat "$1.log" >&2; exit 1; }
		sleep 0.2
	done
}
start() { # FILE COMMAND…: its line of JSON goes to FILE
	line=$1
	shift
	"$@" <stop 3>&- >"$line" 2>"$line.log" &
	ready "$line" $!
}

start issuer.json testcloud up --until-eof --untagged issuer
ISSUER=$(field issuer.json '"issuer":{"url":"\([^"]*\)"')
A=$(field issuer.json '"sessions":\[{"wallet":"\([^"]*\)"')
B=$(field issuer.json '},{"wallet":"\([^"]*\)"')
SESSION_A=$(field issuer.json '"sessions":\[{[^}]*"token":"\([^"]*\)"')
SESSION_B=$(field issuer.json '},{"wallet":[^}]*"token":"\([^"]*\)"')
IDENTITY_A="broker+$ISSUER?session=env:SESSION_A"
IDENTITY_B="broker+$ISSUER?session=env:SESSION_B"
SUB=agentkeys:agent
BUCKET=vault-1250000000
ROLES=qcs::cam::uin/100000000001:roleName
export ISSUER A B SESSION_A SESSION_B IDENTITY_A IDENTITY_B SUB BUCKET ROLES

# serve starts a COS with what a policy file says, in place of the one before.
serve() {
	start "$1.server" costest -until-eof -tls -bucket "$2" -setup "$1" -issuer "$ISSUER" ${3:+$3}
	ENDPOINT=$(field "$1.server" '"cos":"\([^"]*\)"')
	SSL_CERT_FILE=$(field "$1.server" '"ca":"\([^"]*\)"')
	OWNER_ID=$(field "$1.server" '"secret_id":"\([^"]*\)"')
	OWNER_KEY=$(field "$1.server" '"secret_key":"\([^"]*\)"')
	export ENDPOINT SSL_CERT_FILE
}

say 'The operator'
try 'env | grep -E "^(ISSUER|A|B|SUB)=" | sort'
try 'vault policy tencent --bucket $BUCKET --region ap-guangzhou --account 100000000001 --role vault \
    --provider broker --issuer $ISSUER --audience sts.amazonaws.com --for $A=$SUB:$A --for $B=$SUB:$B \
    --expire-days 30 --allow-doctor >policy.json'
try 'vault policy check policy.json'
serve policy.json $BUCKET

say 'Tenant A'
OBJECTVAULT_STORE="cos://$BUCKET?region=ap-guangzhou&endpoint=$ENDPOINT&provider=broker&role=$ROLES/vault-$A"
OBJECTVAULT_TENANT=$A
export OBJECTVAULT_STORE OBJECTVAULT_TENANT
try 'env | grep -E "^(OBJECTVAULT_.*|IDENTITY_.)=" | sort'
try 'vault init'
try 'vault login --identity "$IDENTITY_A"'
try 'vault whoami'
try 'printf %s sk-or-v1-demo-0123456789 | vault put openrouter --create --label team=red'
try 'printf %s sk-or-v1-other | vault put openrouter --create' 11
try 'vault get openrouter && echo'
try 'vault ls'
try 'vault stat openrouter'
try 'vault get anthropic' 10
try 'vault history openrouter' 1
try 'vault doctor' 0
STORE_B="cos://$BUCKET?region=ap-guangzhou&endpoint=$ENDPOINT&provider=broker&role=$ROLES/vault-$B"
export STORE_B
try 'vault doctor --quick --identity "$IDENTITY_A" --other "$IDENTITY_B" --other-tenant $B --other-store "$STORE_B"' 0

say 'Tenant B'
try 'vault ls --store "$STORE_B" --tenant $B --identity "$IDENTITY_B"' 0
try 'vault get openrouter --store "$STORE_B" --tenant $A --identity "$IDENTITY_B"' 13
try 'printf %s x | vault put openrouter --store "$STORE_B" --tenant $A --identity "$IDENTITY_B"' 13
try 'vault rm openrouter --store "$STORE_B" --tenant $A --identity "$IDENTITY_B"' 13
try 'vault get openrouter --tenant $A --identity "$IDENTITY_B"' 14

say 'The end'
try 'vault get openrouter && echo'
try 'vault rm openrouter'
try 'vault logout'
try 'vault ls' 14

say 'A bucket with versioning'
HISTORY=history-1250000000
export HISTORY
try 'vault policy tencent --bucket $HISTORY --region ap-guangzhou --account 100000000001 --role versioned --versioned \
    --provider broker --issuer $ISSUER --audience sts.amazonaws.com --for $A=$SUB:$A --for $B=$SUB:$B --allow-doctor >history.json'
serve history.json $HISTORY -versioning
OBJECTVAULT_STORE="cos://$HISTORY?region=ap-guangzhou&endpoint=$ENDPOINT&provider=broker&role=$ROLES/versioned-$A"
OBJECTVAULT_IDENTITY=$IDENTITY_A
export OBJECTVAULT_STORE OBJECTVAULT_IDENTITY
try 'for v in 1 2; do printf %s sk-$v | vault put openrouter; done'
try 'printf %s sk-3 | vault put openrouter --create' 11
try 'vault rm openrouter'
try 'vault undelete openrouter'
try 'vault history openrouter'
try 'vault doctor --quick' 0

say 'Broken isolation: one role for all tenants'
WIDE=wide-1250000000
export WIDE
try 'vault policy tencent --bucket $WIDE --region ap-guangzhou --account 100000000001 --role wide \
    --provider broker --issuer $ISSUER --audience sts.amazonaws.com --for $A=$SUB:$A --for $B=$SUB:$B >both.json'
if command -v jq >/dev/null; then
	try 'jq "del(.tenants[\$ENV.B]) | .tenants[\$ENV.A].trust_policy.statement[0].condition.string_equal |= del(.[\"oidc:sub\"])
    | .tenants[\$ENV.A].role_policy |= (tojson | gsub(\$ENV.A + \"(/|%2F)\"; \"\") | fromjson)" both.json >wide.json'
	try 'vault policy check wide.json' 1
	serve wide.json $WIDE
	OBJECTVAULT_STORE="cos://$WIDE?region=ap-guangzhou&endpoint=$ENDPOINT&provider=broker&role=$ROLES/wide-$A"
	try 'vault doctor --quick >alone.txt' 1
	try 'grep BROKEN alone.txt'
	try 'vault doctor --quick --other "$IDENTITY_B" --other-tenant $B >pair.txt' 1
	try 'grep BROKEN pair.txt'
else
	echo 'jq is not installed'
fi

say 'The same with static keys'
TENCENTCLOUD_SECRET_ID=$OWNER_ID
TENCENTCLOUD_SECRET_KEY=$OWNER_KEY
export TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY
unset OBJECTVAULT_IDENTITY
OBJECTVAULT_STORE="cos://${WIDE}?region=ap-guangzhou&endpoint=$ENDPOINT"
export OBJECTVAULT_STORE
try 'vault whoami'
try 'printf %s sk-static | vault put openrouter && vault get openrouter && echo && vault rm openrouter'
try 'TENCENTCLOUD_SECRET_KEY=wrong vault ls' 14

say 'For Tencent Cloud: printed and checked, not applied'
try 'vault policy tencent --bucket vault-1250000000 --region ap-guangzhou --account 100000000001 --role vault \
    --provider broker --issuer https://broker.example --audience vault --for acme=agent:acme --expire-days 30 >policy.json'
if command -v jq >/dev/null; then
	try 'jq "del(.tenants.acme.trust_policy.statement[0].condition.string_equal[\"oidc:sub\"])" policy.json | vault policy check -' 1
fi
try 'vault policy check policy.json'
if command -v jq >/dev/null; then
	try 'jq -c ".tenants.acme.trust_policy.statement[], .tenants.acme.role_policy.statement[]" policy.json'
	try 'jq -r ".lifecycle, .strict_signature" policy.json'
	try 'jq -r ".commands[]" policy.json'
	try 'jq -r ".comments[]" policy.json'
	try 'jq -r ".notes[]" policy.json'
fi

printf '\nThe demo is done: every command ended with the expected exit code.\n'
