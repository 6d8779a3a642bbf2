#!/bin/sh
# The credentials of an old plaintext server move into a vault:
# sh docs/migrate.sh bin/vault bin/oldserver bin/oldclient bin/signertest bin/costest
set -eu
. "$(dirname "$0")/try.sh"
HOME=$(mktemp -d)
started= serving= oldpid=
trap '[ -z "$started$serving$oldpid" ] || kill $started $serving $oldpid; rm -rf "$HOME"' EXIT
mkdir "$HOME/bin"
for program in "$@"; do
	cp "$program" "$HOME/bin/"
done
PATH=$HOME/bin:$PATH
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME SSL_CERT_FILE \
	TENCENTCLOUD_TOKEN TKE_ROLE_ARN TKE_WEB_IDENTITY_TOKEN_FILE LISTEN_FDS NOTIFY_SOCKET \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS OBJECTVAULT_KEYS_REQUIRED OBJECTVAULT_SPOOL \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT
cd "$HOME"

# text prints a paragraph of the page.
text() { printf '\n'; printf '%s\n' "$1" | sed 's/^/| /'; }
# until_ready waits until the file FILE has text, as long as the process PID runs.
until_ready() { # FILE PID
	until [ -s "$1" ]; do
		kill -0 "$2" 2>/dev/null || { cat "$1" >&2; exit 1; }
		sleep 0.2
	done
}
field() { sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" "$1"; }
# old starts the old server at ADDRESS.
old() { # [ADDRESS]
	: >old.json
	oldserver -db old.db -wallet "$OBJECTVAULT_TENANT" -token session-of-agent-7 ${1:+-addr "$1"} >old.json &
	oldpid=$!
	until_ready old.json $oldpid
	OLD=$(field old.json url)
	export OLD
}
stop_old() {
	kill $oldpid
	wait $oldpid 2>/dev/null || true
	oldpid=
}
# serve starts vault serve --legacy at the address SERVE.
serve() { # FLAGS
	: >serve.log
	echo "vault serve --legacy --listen ${SERVE#http://} $*" >serve.command
	vault serve --legacy --listen "${SERVE#http://}" "$@" 2>serve.log &
	serving=$!
	until_ready serve.log $serving
}
stop_serve() {
	kill $serving
	wait $serving 2>/dev/null || true
	serving=
}

# A client of the old server's API.
cat >bin/agent <<'AGENT'
#!/bin/sh
# agent store SERVICE VALUE | agent read SERVICE | agent list, at $AGENTKEYS
call() { curl -sS --fail-with-body -H "Authorization: Bearer $AGENT_TOKEN" "$@" && echo; }
id=$OBJECTVAULT_TENANT
case $1 in
store) call "$AGENTKEYS/credential/store" -d "{\"agent_id\":\"$id\",\"service\":\"$2\",\"ciphertext\":\"$(printf %s "$3" | base64)\"}" ;;
read) call "$AGENTKEYS/credential/read?agent_id=$id&service=$2" ;;
list) call "$AGENTKEYS/credential/list?agent_id=$id" ;;
esac
AGENT
# A program that reads and stores the objects of agentKeys in the bucket.
cat >bin/agentkeys <<'CLIENT'
#!/bin/sh
oldclient -bucket "$OBJECTVAULT_STORE" -signer "$SIGNER" -omni "$OMNI" -token "$SESSION" "$@"
CLIENT
chmod 755 bin/agent bin/agentkeys

signertest -token session >signer.json &
started=$!
costest -bucket vault-1250000000 -secret-id AKIDdemo -secret-key demo-secret >costest.json 2>costest.log &
started="$started $!"
until [ -s signer.json ] && [ -s costest.json ]; do
	kill -0 $started
	sleep 0.2
done
TENCENTCLOUD_SECRET_ID=AKIDdemo
TENCENTCLOUD_SECRET_KEY=demo-secret
OBJECTVAULT_TENANT=$(field signer.json address)
OBJECTVAULT_STORE="cos://vault-1250000000?region=ap-guangzhou&endpoint=$(field costest.json cos)"
SESSION=session
OMNI=$(field signer.json omni)
SIGNER=$(field signer.json url)
export TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY OBJECTVAULT_TENANT OBJECTVAULT_STORE SESSION OMNI SIGNER
mkdir -p .config/objectvault
cat >.config/objectvault/config.toml <<CONFIG
profile = "agents"

[profiles.agents]
keys = "signer+$SIGNER?omni=$OMNI&token=env:SESSION"

[profiles.transition]
keys = "signer+$SIGNER?omni=$OMNI&token=env:SESSION"
write = "agentkeys-v1"
CONFIG

old
AGENTKEYS=$OLD
export AGENTKEYS
AGENT_TOKEN=session-of-agent-7
export AGENT_TOKEN

text 'An operator of agentKeys has credentials in two places: in the SQLite file of the plaintext server,
and as sealed objects in the bucket. This page moves both into a vault, in steps that can be undone
until the plaintext is removed. `agent` stands for a client of the plaintext server, and `agentkeys`
for a program that uses the bucket as agentKeys does. Both are written from the published formats;
agentKeys itself, in Rust, was not run. [agentKeys](agentkeys.md) describes what vault reads, writes
and serves.'

say 'Before: a plaintext server, and objects of agentKeys in the bucket'
try 'agent store openrouter sk-or-v1-one && agent store anthropic sk-ant-two && agent store "open ai" sk-three'
try 'agent list'
try 'grep -c sk-or-v1-one old.db'
try 'printf sk-of-v1 | agentkeys put v1 mistral && printf sk-of-v2 | agentkeys put v2 deepseek'
try 'agentkeys ls'

say '1. The vault beside them'
text 'The profile names the signer of the wallet as key source, and the wallet is the tenant. The second
profile is for step 2.'
try 'cat .config/objectvault/config.toml'
try 'vault init'
text 'vault reads the objects of agentKeys at once.'
try 'vault ls'
try 'vault get mistral && echo && vault get deepseek && echo'
text 'The plaintext server keeps running while its credentials are copied. Each of them is read back and
compared. A second run stores nothing.'
try 'vault migrate --from $OLD --source-token env:AGENT_TOKEN --dry-run'
try 'vault migrate --from $OLD --source-token env:AGENT_TOKEN'
try 'vault migrate --from $OLD --source-token env:AGENT_TOKEN'
text 'There is nothing to undo: the server and its clients are unchanged.'

say '2. Programs that read the bucket with agentKeys'
text 'As long as such programs run, store the credentials that they need with the profile `transition`. The
format is weaker than an envelope.'
try 'printf sk-new | vault put mistral --profile transition'
try 'agentkeys get mistral && echo'
try 'vault stat mistral | grep format'
text 'There is nothing to undo. If a credential was stored as an envelope by mistake, store it again with the
profile `transition`.'

say '3. The clients of the old server use vault'
text 'Stop the old server, start it again at another port, and start `vault serve --legacy` at the old port.
The clients and their session tokens stay as they are; a session with a list of services can only read
until it has a token of vault (step 5). All paths other than `/credential/*` are passed to the old server.'
SERVE=$OLD
stop_old
old
export SERVE
serve --verify-upstream --upstream "$OLD"
AGENTKEYS=$SERVE
try 'cat serve.command'
try 'agent list'
try 'agent read openrouter'
try 'agent store cohere sk-co-four'
try 'curl -sS $AGENTKEYS/session/info && echo'
try 'cut -d" " -f3- serve.log'
try 'vault get cohere && echo'
text 'To undo this step, stop `vault serve`, and start the old server at its old port. Credentials that
clients have stored in the meantime are in the vault only: `vault ls --long` shows their times, and `vault get` their
values.'

say '4. Credentials that the old server received until then'
text 'A client may have stored a credential between the copy and step 3. Migrate again, from the server
or from its file. The file contains the time of each credential. If two values differ, the newer one is
kept; if their times are too close to tell, the credential fails, and you decide with `--overwrite`.
To replace a value, a store without compare-and-swap needs `--no-other-writers`: stop `vault serve` for
this command.'
try 'AGENTKEYS=$OLD agent store groq sk-groq-five'
try 'vault migrate --from sqlite:old.db'
text 'This step changes only the vault. Step 3 describes how to return to the old server.'

say '5. The clients get tokens of vault'
text 'Until now the old server checks the tokens of the clients. Create tokens that need no old server, hand
them to the clients, and start `vault serve` without it. Each client can have its own token, with a scope.'
try '(umask 077 && vault serve --legacy --tokens ~/tokens --new-token --expires 90d >token) && cut -c1-20 ~/tokens'
stop_serve
serve --tokens "$HOME/tokens"
AGENT_TOKEN=$(cat token)
try 'cat serve.command'
try 'agent read openrouter'
try 'AGENT_TOKEN=wrong agent read openrouter' 22
text 'To undo this step, start `vault serve` with `--verify-upstream` again.'

say '6. The plaintext is removed'
text 'Stop the old server. `--shred-source` removes only credentials that the same run has verified. One that
a client has replaced since step 3 is newer in the vault: it is skipped, and its old value stays in the
file. Delete the file when nothing needs it any more.'
stop_old
try 'vault migrate --from sqlite:old.db --shred-source --yes'
try 'grep -c sk-or-v1-one old.db' 1
text 'This step cannot be undone. The values are in the vault, and in backups of the file.'

say '7. The objects of agentKeys become envelopes'
text 'When no program reads the bucket with agentKeys any more, remove the profile `transition`, and convert
the objects. This store has no compare-and-swap, so `--no-other-writers` confirms that nothing else
writes them meanwhile. The last object of agentKeys is below the prefix of the omni account: it is not
overwritten, and `--shred-source` removes it.'
try 'vault migrate --from agentkeys --no-other-writers'
try 'vault migrate --from agentkeys --no-other-writers --shred-source --yes'
try 'agentkeys get mistral' 1
try 'vault get mistral && echo && vault get deepseek && echo'
text 'To undo this step for a credential, store it again with the profile `transition`.'

say '8. Without the API of the old server'
text 'Programs that use vault itself need no server. Stop `vault serve` when no client uses it any more.'
stop_serve
try 'vault exec --env KEY=openrouter -- sh -c "echo the agent has a key of \${#KEY} characters"'
try 'vault ls'
