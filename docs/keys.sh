#!/bin/sh
# Each key source is enrolled, used from two machines, and replaced:
# sh docs/keys.sh bin/vault bin/signertest bin/costest
set -eu
. "$(dirname "$0")/try.sh"
HOME=$(mktemp -d)
started=
trap '[ -z "$started" ] || kill $started; rm -rf "$HOME"' EXIT
mkdir "$HOME/bin"
cp "$1" "$HOME/bin/vault"
cp "$2" "$HOME/bin/signertest"
cp "$3" "$HOME/bin/costest"
PATH=$HOME/bin:$PATH
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS OBJECTVAULT_KEYS_REQUIRED OBJECTVAULT_SPOOL \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT \
	OBJECTVAULT_PASSPHRASE OBJECTVAULT_PASSPHRASE_FILE OBJECTVAULT_PASSPHRASE_COMMAND
cd "$HOME"
chmod 711 "$HOME"
OBJECTVAULT_STORE=file://$HOME/store
export OBJECTVAULT_STORE

# machine selects the machine whose files the next commands use.
machine() { XDG_DATA_HOME=$HOME/$1 XDG_STATE_HOME=$HOME/$1 && export XDG_DATA_HOME XDG_STATE_HOME; }

signertest -token session >signer.json &
started=$!
costest -secret-id AKIDdemo -secret-key demo-secret -kms-key 93866e69-9755-11ef-8e65-52540089bc41 >costest.json 2>costest.log &
started="$started $!"
until [ -s signer.json ] && [ -s costest.json ]; do
	kill -0 $started
	sleep 0.2
done
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" signer.json; }
SIGNER="signer+$(field url)?omni=$(field omni)&token=env:SESSION"
SESSION=session
export SIGNER SESSION

say 'A signer instead of a root key file'
machine one
try 'vault init --keys "$SIGNER"'
try 'printf %s sk-or-v1-demo | vault put openrouter --keys "$SIGNER"'
try 'vault get openrouter --keys "$SIGNER"'
try 'SESSION=expired vault get openrouter --keys "$SIGNER"' 14

say 'A second machine: it opens at once, and seals after init'
machine two
try 'vault get openrouter --keys "$SIGNER"'
try 'printf %s sk-ant-demo | vault put anthropic --keys "$SIGNER"' 16
try 'vault init --keys "$SIGNER"'
try 'printf %s sk-ant-demo | vault put anthropic --keys "$SIGNER"'

say 'A passphrase is added to the objects that exist'
try 'echo "stone lantern copper orbit meadow quill" >phrase; chmod 600 phrase'
OBJECTVAULT_PASSPHRASE_FILE=$HOME/phrase
export OBJECTVAULT_PASSPHRASE_FILE
try 'vault init --keys passphrase:'
try 'vault keys rewrap --keys "$SIGNER" --add passphrase: --dry-run'
try 'vault keys rewrap --keys "$SIGNER" --add passphrase:'
try 'vault get anthropic --keys passphrase:'

say 'The signer is replaced by a root key, and then loses its access'
try 'vault init'
try 'vault keys rewrap --keys "$SIGNER" --add local: --remove "$SIGNER"'
try 'vault get openrouter --keys "$SIGNER"' 12
try 'vault keys audit --keys local: --keys passphrase:'
try 'vault keys rotate --keys local:'
try 'vault keys audit --keys local: --keys passphrase:'

say 'A key of a KMS (here that of costest)'
KMS="tencentkms://ap-guangzhou/93866e69-9755-11ef-8e65-52540089bc41?credentials=default&endpoint=$(sed -n 's/.*"kms":"\([^"]*\)".*/\1/p' costest.json)"
TENCENTCLOUD_SECRET_ID=AKIDdemo TENCENTCLOUD_SECRET_KEY=demo-secret
export KMS TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY
try 'vault init --keys "$KMS"'
try 'vault keys rewrap --keys local: --add "$KMS"'
machine one
try 'vault get openrouter --keys "$KMS"'
try 'TENCENTCLOUD_SECRET_KEY=wrong vault get openrouter --keys "$KMS"' 14
machine two
try 'vault keys rewrap --keys local: --remove "$KMS"'

if command -v gnome-keyring-daemon >/dev/null && command -v dbus-daemon >/dev/null; then
	say 'The keyring of the operating system'
	XDG_RUNTIME_DIR=$HOME/run
	mkdir -m 700 run
	export XDG_RUNTIME_DIR
	DBUS_SESSION_BUS_ADDRESS=unix:path=$HOME/run/bus
	export DBUS_SESSION_BUS_ADDRESS
	dbus-daemon --session --nofork --address="$DBUS_SESSION_BUS_ADDRESS" >dbus.log 2>&1 &
	started="$started $!"
	until [ -S run/bus ]; do
		sleep 0.2
	done
	printf %s password >password
	gnome-keyring-daemon --foreground --unlock --components=secrets <password >keyring.log 2>&1 &
	started="$started $!"
	until [ -e run/keyring/control ]; do
		sleep 0.2
	done
	try 'vault init --keys keyring:work'
	try 'vault keys rewrap --keys local: --add keyring:work'
	try 'vault get openrouter --keys keyring:work'
	machine five
	try 'vault init --keys keyring:other --import two/objectvault/root.key'
	try 'vault get openrouter --keys keyring:other'
	machine two
	try 'vault keys rewrap --keys local: --remove keyring:work'
	unset DBUS_SESSION_BUS_ADDRESS
	try 'vault keys list --keys local: --keys keyring:work' 3
fi

say 'A root key from a supervisor'
try 'ROOT=$(cat two/objectvault/root.key) vault get openrouter --keys env:ROOT'
try 'vault get openrouter --keys "exec:cat two/objectvault/root.key"'
try 'vault get openrouter --keys fd:3 3<two/objectvault/root.key'

say 'A file that Kubernetes has mounted: it belongs to root, and a group can read it'
if [ "$(id -u)" = 0 ]; then
	mkdir -p mount three
	cp two/objectvault/root.key mount/root.key
	chown 0:1000 mount/root.key
	chmod 440 mount/root.key
	chmod 755 bin mount
	cp -R store copy
	chown -R 1000:1000 three copy
	machine three
	try 'ls -ln mount/root.key | cut -d" " -f1,3,4'
	try 'setpriv --reuid 1000 --regid 1000 --clear-groups vault get openrouter --store "file://$HOME/copy" --keys "local://$HOME/mount/root.key"'
	chmod 460 mount/root.key
	try 'setpriv --reuid 1000 --regid 1000 --clear-groups vault get openrouter --store "file://$HOME/copy" --keys "local://$HOME/mount/root.key"' 1
fi

say 'Recovery from two of three shares, on a machine that has nothing else'
machine two
try 'vault keys recovery create --shares 3 --threshold 2 --output share'
try 'vault keys recovery test share-1-of-3 share-3-of-3'
machine four
try 'vault get openrouter' 16
try 'vault keys recovery combine share-2-of-3' 1
try 'vault keys recovery combine share-2-of-3 share-3-of-3'
try 'vault get openrouter'
