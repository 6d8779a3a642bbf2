package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
)

// newSilent starts a server that accepts connections and never responds, and returns its address.
func newSilent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			go io.Copy(io.Discard, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}

// deadlineCommands contains arguments for every command. ID is replaced by the id of a spool entry, DIR
// by a directory, FILES by the URL of a directory, STORE by that of the store, SOCKET by the address of a Unix socket.
var deadlineCommands = map[string][]string{
	"init": {"init"}, "put": {"put", "a"}, "get": {"get", "a"}, "ls": {"ls"}, "stat": {"stat", "a"}, "rm": {"rm", "a", "b"},
	"history": {"history", "a"}, "rollback": {"rollback", "a", "--to", "@1"}, "undelete": {"undelete", "a"}, "teardown": {"teardown", "--yes"},
	"capture": {"capture", "a", "--", "mint-key"}, "rotate": {"rotate", "a", "--", "mint-key"}, "sync": {"sync", "--watch"},
	"spool ls": {"spool", "ls"}, "spool show": {"spool", "show", "ID"}, "spool get": {"spool", "get", "ID"}, "spool retry": {"spool", "retry", "ID"},
	"seen export": {"seen", "export"}, "seen import": {"seen", "import", "missing.json"},
	"spool drop": {"spool", "drop", "ID", "--yes"}, "spool export": {"spool", "export", "DIR"},
	"keys list": {"keys", "list"}, "keys audit": {"keys", "audit"}, "keys rewrap": {"keys", "rewrap", "--add", "local:"}, "keys rotate": {"keys", "rotate"}, "keys recovery": {"keys", "recovery", "create"},
	"exec": {"exec", "--env", "A=a", "--", "prog"}, "migrate": {"migrate", "--from", "agentkeys"}, "serve": {"serve", "--legacy", "--listen", "SOCKET"}, "verify": {"verify"}, "audit": {"audit", "--from", "STORE"}, "audit summary": {"audit", "summary", "--from", "STORE"}, "copy": {"copy", "STORE", "FILES"}, "login": {"login"}, "logout": {"logout"}, "whoami": {"whoami"},
	"policy aws": {"policy", "aws", "--bucket", "b", "--account", "111122223333", "--issuer", "https://issuer.example"}, "policy tencent": {"policy", "tencent", "--bucket", "b-1250000000", "--region", "ap-guangzhou"},
	"policy check": {"policy", "check", "missing.json"}, "doctor": {"doctor"}, "version": {"version"}, "completion": {"completion", "bash"}, "help": {"help", "put"},
}

// deadlineVariants contains further arguments of some commands.
var deadlineVariants = [][]string{
	{"put", "a", "--no-spool"}, {"put", "a", "--create"}, {"put", "a", "--if-revision", "1"}, {"put", "a", "--require-remote"},
	{"get", "a", "--range", "1-2"}, {"get", "a", "--version", "@1"}, {"ls", "--json"}, {"sync"}, {"doctor", "--quick"},
	{"copy", "FILES", "STORE", "a"}, {"exec", "--mask", "--env", "A=a", "--", "prog"}, {completeVerb, "get", ""},
}

// TestDeadlineOfEveryCommand: with a server that accepts connections and never responds, every command
// ends soon after its --deadline, although --timeout is much longer. Without the deadline each command
// would wait for ten minutes.
func TestDeadlineOfEveryCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for many deadlines")
	}
	log.SetOutput(io.Discard)
	addr := newSilent(t)
	claims, err := json.Marshal(map[string]any{"sub": "a", "aud": "sts.amazonaws.com", "exp": 4100000000, "omni_account": walletA})
	if err != nil {
		t.Fatal(err)
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE") // the SDKs read the environment
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("TENCENTCLOUD_SECRET_ID", cosKeys[0])
	t.Setenv("TENCENTCLOUD_SECRET_KEY", cosKeys[1])
	role := "&role=arn:aws:iam::111122223333:role/agents&sts_endpoint=http://" + addr
	cos := "cos://vault-1250000000?region=ap-guangzhou&endpoint=http://" + addr
	stores := []struct{ name, url, identity, tenant string }{
		{"S3", "s3://bucket?endpoint=http://" + addr, "", "acme"},
		{"S3 over TLS", "s3://bucket?endpoint=https://" + addr, "", "acme"},
		{"S3 with a role", "s3://bucket?endpoint=http://" + addr + role, "env:TOKEN", "acme"},
		{"S3 with a broker", "s3://bucket?endpoint=http://" + addr + role, "broker+http://" + addr + "?session=env:SESSION", ""},
		{"COS", cos, "", "acme"},
		{"COS with a role", cos + "&provider=idp&role=qcs::cam::uin/100000000001:roleName/vault&sts_endpoint=http://" + addr, "env:TOKEN", "acme"},
	}
	var commands [][]string
	for _, c := range testApp().Commands {
		names := []string{c.Name}
		if len(c.Subcommands) > 0 {
			names = nil
		}
		for _, sub := range c.Subcommands {
			names = append(names, c.Name+" "+sub.Name)
		}
		for _, name := range names {
			if deadlineCommands[name] == nil {
				t.Errorf("no arguments for %s", name)
			}
			commands = append(commands, deadlineCommands[name])
		}
	}
	commands = append(commands, deadlineVariants...)
	type waiting struct {
		store    int
		args     []string
		deadline time.Duration
	}
	work := make(chan waiting)
	var group sync.WaitGroup
	var mu sync.Mutex
	var longest time.Duration
	for range 16 {
		group.Go(func() {
			for w := range work {
				s := stores[w.store]
				env := map[string]string{
					"OBJECTVAULT_STORE": s.url, "OBJECTVAULT_IDENTITY": s.identity, "OBJECTVAULT_TENANT": s.tenant,
					"TOKEN": token, "SESSION": "session",
				}
				took, r := endsInTime(t, env, w.args, w.deadline)
				mu.Lock()
				if longest = max(longest, took-w.deadline); took > w.deadline+time.Second {
					t.Logf("%s: %v: %v", s.name, took, r)
				}
				mu.Unlock()
			}
		})
	}
	n := 0
	for i := range stores {
		for _, args := range commands {
			work <- waiting{i, args, time.Second}
			n++
		}
	}
	close(work)
	group.Wait()
	t.Logf("%d commands; the longest ended %v after its deadline", n, longest)
}

// endsInTime runs a command with a deadline on a machine with a pending value. It fails the test if the
// command does not end.
func endsInTime(t *testing.T, env map[string]string, args []string, deadline time.Duration) (time.Duration, ran) {
	home, err := os.MkdirTemp(t.TempDir(), "home")
	if err != nil {
		t.Error(err)
		return 0, ran{}
	}
	env["HOME"] = home
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"} {
		env[name] = os.Getenv(name)
	}
	const long = "10m"
	vault := func(timeout string, deadline time.Duration, args ...string) ran {
		var out, errs lockedBuffer
		code := run(context.Background(), append([]string{"vault"}, args...), &world{
			in: struct{ io.Reader }{bytes.NewReader([]byte("sk-value"))}, out: &out, err: &errs, goos: "linux",
			now: func() time.Time {
				if timeout == long {
					return time.Now().Add(10 * time.Second) // the pending value is due again
				}
				return time.Now()
			},
			getenv: func(name string) string {
				switch {
				case name == "OBJECTVAULT_TIMEOUT":
					return timeout
				case name == "OBJECTVAULT_DEADLINE" && deadline > 0:
					return deadline.String()
				}
				return env[name]
			},
			environ: func() []string { return nil }, readFile: os.ReadFile, open: openFile, create: createFile, writeNew: writeNew,
			canSync: canSync, fileSystem: fileSystem, quietly: func(error) bool { return false },
			exec: func([]string, []string) (int, error) { return 0, nil },
			runChild: func(_ context.Context, c child) (int, error) {
				if c.out != nil {
					io.WriteString(c.out, "sk-minted\n")
				}
				return 0, nil
			},
		})
		return ran{args, code, out.String(), errs.String()}
	}
	if args[0] != "init" {
		if r := vault(long, 0, "init"); r.code != exitOK {
			t.Error(r)
		}
		if r := vault("200ms", 0, "put", "waiting"); r.code != exitSpooled {
			t.Errorf("put without a store: %v", r)
		}
	}
	args = slices.Clone(args)
	for i, arg := range args {
		switch arg {
		case "ID":
			var row spooledRow
			if r := vault(long, 0, "spool", "ls", "--json"); json.Unmarshal([]byte(strings.SplitN(r.out, "\n", 2)[0]), &row) != nil {
				t.Errorf("no entry: %v", r)
			}
			args[i] = row.ID
		case "DIR":
			args[i] = filepath.Join(home, "export")
		case "FILES":
			args[i] = "file://" + filepath.Join(home, "files")
		case "STORE":
			args[i] = env["OBJECTVAULT_STORE"]
		case "SOCKET":
			args[i] = "unix:" + filepath.Join(home, "s")
		}
	}
	start := time.Now()
	ended := make(chan ran, 1)
	go func() { ended <- vault(long, deadline, args...) }()
	watchdog := time.NewTimer(2 * time.Minute) // much longer than the deadline, because the machine may be busy
	defer watchdog.Stop()
	select {
	case r := <-ended:
		return time.Since(start), r
	case <-watchdog.C:
		t.Errorf("vault %s with a deadline of %v has not ended after two minutes, store %s", strings.Join(args, " "), deadline, env["OBJECTVAULT_STORE"])
		return 0, ran{args: args}
	}
}

// TestFlushEnds: if the store never responds to the requests for the spool entries, they delay a
// command only briefly.
func TestFlushEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the end of a flush")
	}
	s, err := costest.New(&costest.Options{SecretID: cosKeys[0], SecretKey: cosKeys[1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	t.Setenv("TENCENTCLOUD_SECRET_ID", cosKeys[0])
	t.Setenv("TENCENTCLOUD_SECRET_KEY", cosKeys[1])
	var never costest.Later
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if strings.HasSuffix(r.Key, "/waiting.enc") {
			return never.Wait()
		}
		return nil
	})
	env := map[string]string{"OBJECTVAULT_STORE": fmt.Sprintf("cos://%s?region=%s&endpoint=%s", s.Bucket(), s.Region(), s.URL()), "OBJECTVAULT_TENANT": "acme"}
	for try := 1; ; try++ { // a flush has one second, which a busy machine may take away
		took, r := endsInTime(t, env, []string{"ls"}, 0)
		if r.code != exitOK || strings.TrimSpace(r.out) == "" {
			t.Fatalf("%v", r)
		}
		t.Logf("ls took %v", took)
		all := s.Requests()
		if n := len(all); n >= 2 && all[n-1].Action == "GetBucket" && strings.HasSuffix(all[n-2].Key, "/waiting.enc") {
			return
		}
		if try == 5 {
			t.Fatalf("the flush did not try the entry before the list: %v", all)
		}
	}
}
