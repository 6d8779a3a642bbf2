package vaulturl_test

import (
	"os"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }
