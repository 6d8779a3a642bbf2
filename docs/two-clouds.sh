#!/bin/sh
# Credentials in two clouds: sh docs/two-clouds.sh bin/vault bin/testcloud bin/costest
# One cloud is a Ceph on this machine, which it installs the first time (Debian, root). The other one is
# costest, the COS of the tests.
set -eu
. "$(dirname "$0")/try.sh"
HOME=$(mktemp -d)
rgw=
trap '[ -z "$rgw" ] || kill -CONT $rgw; exec 3>&-; [ -z "${cos:-}" ] || kill $cos; wait; rm -rf "$HOME"' EXIT
mkdir "$HOME/bin"
cp "$1" "$HOME/bin/vault"
cp "$2" "$HOME/bin/testcloud"
cp "$3" "$HOME/bin/costest"
PATH=$HOME/bin:$PATH
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE \
	TENCENTCLOUD_TOKEN TKE_ROLE_ARN TKE_WEB_IDENTITY_TOKEN_FILE SSL_CERT_FILE \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS OBJECTVAULT_SPOOL OBJECTVAULT_SEEN \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT OBJECTVAULT_DEADLINE
cd "$HOME"

testcloud install rgw
mkfifo stop
testcloud up --until-eof aws <stop >server.json 2>up.log &
up=$!
exec 3>stop
costest -bucket vault-1250000000 -secret-id AKIDdemo -secret-key demo-secret >cos.json 2>cos.log &
cos=$!
until [ -s server.json ] && [ -s cos.json ]; do
	kill -0 $up 2>/dev/null || { cat up.log >&2; exit 1; }
	kill -0 $cos 2>/dev/null || { cat cos.log >&2; exit 1; }
	sleep 0.2
done
field() { sed -n "s/.*$2.*/\\1/p" "$1"; }
S3_ENDPOINT=$(field server.json '"url":"\([^"]*\)","region"')
ISSUER=$(field server.json '"issuer":{"url":"\([^"]*\)"')
THUMBPRINT=$(field server.json '"thumbprint":"\([^"]*\)"')
A=$(field server.json '"sessions":\[{"wallet":"\([^"]*\)"')
SESSION=$(field server.json '"sessions":\[{[^}]*"token":"\([^"]*\)"')
COS_ENDPOINT=$(field cos.json '"cos":"\([^"]*\)"')
TENCENTCLOUD_SECRET_ID=AKIDdemo
TENCENTCLOUD_SECRET_KEY=demo-secret
OBJECTVAULT_TIMEOUT=2s # a cloud that does not answer is given up after 2 seconds, and not after 30
export SESSION TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY OBJECTVAULT_TIMEOUT

vault policy aws --dialect rgw --bucket vault --role agents --issuer "$ISSUER" --thumbprint "$THUMBPRINT" --for "$A" >policy.json
AWS_ACCESS_KEY_ID=$(field server.json '"owner":{"access_key_id":"\([^"]*\)"') \
AWS_SECRET_ACCESS_KEY=$(field server.json '"owner":{[^}]*"secret_key":"\([^"]*\)"') \
	testcloud apply --server server.json --bucket vault --role agents <policy.json >/dev/null

# tell prints a paragraph for the page.
tell() { printf '| %s\n' "$@"; }
# The gateway of Ceph is stopped, so that it accepts connections and never answers.
away() {
	rgw=$(pgrep -P $up radosgw)
	kill -STOP $rgw
}
back() {
	kill -CONT $rgw
	rgw=
}

mkdir -p .config/objectvault
cat >.config/objectvault/config.toml <<CONFIG
profile = "aws"

[profiles.aws]
store = "s3://vault?endpoint=$S3_ENDPOINT&role=arn:aws:iam:::role/agents"
tenant = "$A"
identity = "broker+$ISSUER?session=env:SESSION"

[profiles.tencent]
store = "cos://vault-1250000000?region=ap-guangzhou&endpoint=$COS_ENDPOINT"
tenant = "$A"

[profiles.both]
store = "s3://vault?endpoint=$S3_ENDPOINT&role=arn:aws:iam:::role/agents"
tenant = "$A"
identity = "broker+$ISSUER?session=env:SESSION"
mirrors = ["tencent"]
CONFIG

say 'Copy what exists'
tell 'The profile `aws` has two credentials. `vault copy` copies them to the profile `tencent`, sealed as they are.' \
	'If it is interrupted, the same command continues.'
try 'vault init'
try 'echo sk-or-v1-demo | vault put openrouter'
try 'echo sk-ant-demo | vault put anthropic --label team=red'
try 'vault copy aws tencent --verify'
try 'vault copy aws tencent'
try 'vault get --profile tencent openrouter'

say 'Mirror every change'
tell 'The profile `both` has the store of `aws`, and `mirrors = ["tencent"]`. Each change now goes to both stores.'
try 'sed -n "/profiles.both/,\$p" .config/objectvault/config.toml | sed "s/endpoint=[^\"&]*/endpoint=…/"'
try 'echo sk-or-v1-second | vault put openrouter --profile both'
try 'vault get openrouter --all --profile both'

say 'One cloud is away'
tell 'Ceph accepts connections and does not answer. Reads come from COS. A new value is saved on this machine.'
away
try 'vault get openrouter --profile both'
try 'vault get openrouter --profile aws' 20
try 'echo sk-or-v1-third | vault put openrouter --profile both' 75
try 'vault exec --profile both --env KEY=openrouter -- sh -c "echo the agent works with \$KEY"'

say 'It is back'
back
tell '`vault sync` sends what waits on this machine, to both stores, and compares them.'
try 'vault sync --profile both'
try 'vault get openrouter --all --profile both'

say 'Repair what the spool does not know'
tell 'Another machine changed only one of the stores. `vault sync` copies what is newer, in both directions.'
try 'echo sk-ant-new | vault put anthropic --profile tencent'
try 'echo sk-gh-demo | vault put github --profile aws'
try 'vault get anthropic --all --profile both' 3
try 'vault sync --profile both'
try 'vault get anthropic --profile aws'

say 'Verify both'
try 'vault verify --profile aws'
try 'vault verify --profile tencent'
