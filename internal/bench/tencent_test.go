package bench

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkTencent compares a vault in COS with the SDK alone. costest runs in a separate process,
// without delay and with a delay of 5 ms. Run it with make bench-tencent. If TMPDIR is in memory,
// the large puts do not measure the disk.
func BenchmarkTencent(b *testing.B) {
	t := startCostest(b)
	benchServer(b, t, 3)
	b.Run("away=5ms", func(b *testing.B) {
		raw, v := bothSides(b, startCostest(b, "-delay", "5ms"))
		benchObjects(b, raw, v)
	})
	b.Run("memory", func(b *testing.B) {
		benchMemory(b, t, "cos://"+t.Bucket+"?endpoint="+url.QueryEscape(t.Endpoint), "TENCENTCLOUD_SECRET_ID="+t.KeyID, "TENCENTCLOUD_SECRET_KEY="+t.Key)
	})
}

func startCostest(b *testing.B, args ...string) target {
	b.Helper()
	program := filepath.Join(b.TempDir(), "costest")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/objectvault/objectvault/cmd/costest").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command(program, append(args, "-until-eof")...) // so it also ends when this process is killed
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := server.Wait(); err != nil {
			b.Error(err)
		}
	})
	var line struct {
		COS       string
		Bucket    string
		SecretID  string `json:"secret_id"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.NewDecoder(out).Decode(&line); err != nil {
		b.Fatal(err)
	}
	return target{Cloud: "tencent", Endpoint: line.COS, Bucket: line.Bucket, KeyID: line.SecretID, Key: line.SecretKey}
}
