#!/bin/sh
# A walkthrough against a Ceph on this machine: sh docs/aws.sh bin/vault bin/testcloud
# It installs Ceph the first time (Debian, root), and nothing else. The last part needs aws and jq.
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
testcloud up --until-eof aws <stop >server.json 2>up.log &
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
export ENDPOINT ISSUER THUMBPRINT A B SESSION_A SESSION_B

say 'The operator'
try 'env | grep -E "^(ENDPOINT|ISSUER|A|B)=" | sort'
try 'vault policy aws --dialect rgw --bucket vault --role agents --issuer $ISSUER --thumbprint $THUMBPRINT \
    --for $A --for $B --expire-days 30 --allow-doctor >policy.json'
try 'grep trust_policy.: policy.json'
try 'vault policy check --dialect rgw policy.json'
try 'testcloud apply --server server.json --bucket vault --role agents <policy.json'

say 'Tenant A'
OBJECTVAULT_STORE="s3://vault?endpoint=$ENDPOINT&role=arn:aws:iam:::role/agents"
IDENTITY_A="broker+$ISSUER?session=env:SESSION_A"
IDENTITY_B="broker+$ISSUER?session=env:SESSION_B"
export OBJECTVAULT_STORE IDENTITY_A IDENTITY_B
try 'env | grep -E "^(OBJECTVAULT_STORE|IDENTITY_.)=" | sort'
try 'vault init'
try 'vault login --identity "$IDENTITY_A"'
try 'vault whoami'
try 'printf %s sk-or-v1-demo-0123456789 | vault put openrouter --create --label team=red'
try 'printf %s sk-or-v1-other | vault put openrouter --create' 11
try 'vault get openrouter && echo'
try 'vault ls'
try 'vault stat openrouter'
try 'vault history openrouter'
try 'vault get anthropic' 10
try 'vault doctor' 0
try 'vault doctor --quick --other "$IDENTITY_B"' 0

say 'Tenant B'
try 'vault whoami --identity "$IDENTITY_B"'
try 'vault ls --identity "$IDENTITY_B"' 0
try 'vault get openrouter --identity "$IDENTITY_B"' 10
try 'vault get openrouter --identity "$IDENTITY_B" --tenant $A' 13
# A tag that the tokens do not carry blinds the client's own check: the gateway answers.
try 'vault get openrouter --identity "$IDENTITY_B" --tenant $A --store "$OBJECTVAULT_STORE&tag=no-such-tag"' 13
try 'printf %s x | vault put openrouter --identity "$IDENTITY_B" --tenant $A --store "$OBJECTVAULT_STORE&tag=no-such-tag"' 13
try 'vault rm openrouter --identity "$IDENTITY_B" --tenant $A --store "$OBJECTVAULT_STORE&tag=no-such-tag"' 13

say 'The end'
try 'vault get openrouter && echo'
try 'vault rm openrouter'
try 'vault logout'
try 'vault ls' 14

say 'The printed commands, on a bucket with versioning'
if ! command -v aws >/dev/null || ! command -v jq >/dev/null; then
	printf '\nThe rest needs aws and jq, which are not both installed. %s\n' "$done"
	exit
fi
AWS_PAGER=
owner="AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export AWS_PAGER
printf '#!/bin/sh\nexec env %s %s "$@"\n' "$owner" "$(command -v aws)" >bin/aws
chmod 700 bin/aws
OBJECTVAULT_STORE="s3://history?endpoint=$ENDPOINT&role=arn:aws:iam:::role/versioned"
OBJECTVAULT_IDENTITY=$IDENTITY_A
export OBJECTVAULT_STORE OBJECTVAULT_IDENTITY
try 'vault policy aws --dialect rgw --bucket history --role versioned --issuer $ISSUER --thumbprint $THUMBPRINT \
    --for $A --for $B --expire-days 30 --allow-doctor --endpoint $ENDPOINT >policy.json'
try 'jq -r ".commands[]" policy.json'
try 'aws --endpoint-url $ENDPOINT s3api create-bucket --bucket history'
# All but the first: testcloud has told the gateway of the issuer already.
try 'jq -r ".commands[]" policy.json | tail -n +2 | sh -e >applied.json' 0
try 'for v in 1 2; do printf %s sk-$v | vault put openrouter; done'
try 'vault rm openrouter'
try 'vault undelete openrouter'
try 'vault history openrouter'
try 'vault doctor --quick' 1

say 'Broken isolation'
WIDE="s3://wide?endpoint=$ENDPOINT&role=arn:aws:iam:::role/wide"
export WIDE
try 'vault policy aws --dialect rgw --bucket wide --role wide --issuer $ISSUER --thumbprint $THUMBPRINT --for $A --for $B |
    jq -c ".role_policy.Statement += [{Sid: \"Wide\", Effect: \"Allow\", Action: [\"s3:GetObject\"], Resource: [\"arn:aws:s3:::wide/bots/*\"]}]" >wide.json'
try 'vault policy check --dialect rgw wide.json' 1
try 'testcloud apply --server server.json --bucket wide --role wide <wide.json'
try 'vault doctor --quick --store "$WIDE" >alone.txt' 0
try 'grep "get of another" alone.txt'
try 'vault doctor --quick --store "$WIDE" --other "$IDENTITY_B" >both.txt' 1
try 'grep BROKEN both.txt'

say 'For AWS: printed and checked, not applied'
try 'vault policy aws --bucket vault-111122223333 --account 111122223333 --role agents --issuer https://broker.example \
    --region eu-central-1 --expire-days 30 >policy.json'
try 'jq "del(.role_policy.Statement[1].Condition.StringLike)" policy.json | vault policy check -' 1
try 'vault policy check policy.json'
try 'jq -c ".trust_policy.Statement[], .role_policy.Statement[], .bucket_policy.Statement[]" policy.json'
try 'jq -c ".lifecycle, .public_access_block, .versioning" policy.json'
try 'jq -r ".commands[]" policy.json'

printf '\n%s\n' "$done"
