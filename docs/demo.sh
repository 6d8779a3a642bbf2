#!/bin/sh
# The command once around, in a home of its own: sh docs/demo.sh bin/vault
set -eu
. "$(dirname "$0")/try.sh"
PATH=$(cd "$(dirname "$1")" && pwd):$PATH
HOME=$(mktemp -d)
export PATH HOME
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME \
	OBJECTVAULT_STORE OBJECTVAULT_TENANT OBJECTVAULT_COLLECTION OBJECTVAULT_KEYS \
	OBJECTVAULT_IDENTITY OBJECTVAULT_PROFILE OBJECTVAULT_CONFIG OBJECTVAULT_TIMEOUT
trap 'rm -rf "$HOME"' EXIT
cd "$HOME"

try 'vault init'
try 'printf %s sk-or-v1-demo-0123456789 | vault put openrouter --label team=red'
try 'vault ls'
try 'vault stat openrouter'
try 'grep -r sk-or-v1 .local/share/objectvault || echo "the store holds no plaintext"'
try 'vault get openrouter && echo'
try 'vault exec --env OPENROUTER_API_KEY=openrouter -- sh -c "echo the child sees \${#OPENROUTER_API_KEY} characters"'
try 'vault rm openrouter'
try 'vault get openrouter' 10
try 'vault undelete openrouter && vault history openrouter'
try 'vault teardown --yes'
