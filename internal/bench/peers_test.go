package bench

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// BenchmarkPeers compares the command with other programs that store a file in S3, one process for each
// operation and in turns, on the same versitygw as BenchmarkProcess. raw is the SDK alone and aws is
// the aws command: neither encrypts. age is a pipe of age and the SDK, rclone is a remote of type crypt,
// and restic makes a backup and dumps it. The value is random and new in each round, because restic
// stores equal data once. A program that is not installed is left out, and the output names it.
// Ratios are medians; the SDK is 1. Run it with make bench-peers.
func BenchmarkPeers(b *testing.B) {
	t := startVersity(b)
	t.Bucket = "bench"
	if _, err := newS3(t).client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &t.Bucket}); err != nil {
		b.Fatal(err)
	}
	p := &processes{target: t, dir: b.TempDir()}
	p.file = filepath.Join(p.dir, "value")
	p.addSDK(b)
	p.addVaults(b)
	for _, peer := range []struct {
		name string
		add  func(*testing.B, *processes) bool
	}{
		{"aws", func(_ *testing.B, p *processes) bool { return p.addAWS() }},
		{"age", addAge}, {"rclone", addRclone}, {"restic", addRestic},
	} {
		if !peer.add(b, p) {
			fmt.Printf("# %s is not installed: left out\n", peer.name)
		}
	}
	for _, c := range []struct {
		name   string
		size   int64
		rounds int
	}{{"64B", 64, 9}, {"1MiB", mib, 7}, {"16MiB", 16 * mib, 5}, {"64MiB", 64 * mib, 5}, {"512MiB", 512 * mib, 3}} {
		p.key = c.name
		p.refill = func(b *testing.B) { refill(b, p.file, c.size) }
		b.Run(c.name+"/put", func(b *testing.B) { p.compare(b, c.rounds, "put") })
		b.Run(c.name+"/get", func(b *testing.B) {
			p.refill(b)
			p.refill = nil
			for _, program := range p.programs {
				mustRun(b, program.command("put"))
			}
			get := "get"
			if c.size <= 8*mib {
				get = "fetch"
			}
			p.compare(b, c.rounds, get)
			for _, program := range p.programs {
				mustBeEqual(b, p.file, p.file+"."+program.name)
			}
		})
	}
}

// refill writes random bytes to a file.
func refill(b *testing.B, name string, size int64) {
	file, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	if _, err := io.Copy(file, io.LimitReader(rand.NewChaCha8(seed), size)); err != nil {
		b.Fatal(err)
	}
}

func mustBeEqual(b *testing.B, want, got string) {
	b.Helper()
	first, err := os.Open(want)
	if err != nil {
		b.Fatal(err)
	}
	defer first.Close()
	second, err := os.Open(got)
	if err != nil {
		b.Fatal(err)
	}
	defer second.Close()
	x, y := make([]byte, mib), make([]byte, mib)
	for {
		n, err := io.ReadFull(first, x)
		m, _ := io.ReadFull(second, y)
		if !bytes.Equal(x[:n], y[:m]) {
			b.Fatalf("%s is not the value", filepath.Base(got))
		}
		if err != nil {
			return
		}
	}
}

// pipe returns a shell command with arguments $1, $2, …
func (p *processes) pipe(script string, args ...string) *exec.Cmd {
	return p.command("sh", append([]string{"-c", script, "sh"}, args...)...)
}

func addAge(b *testing.B, p *processes) bool {
	program1, err := exec.LookPath("age")
	if err != nil {
		return false
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	keys := filepath.Join(p.dir, "age.txt")
	if err := os.WriteFile(keys, []byte(identity.String()+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	p.programs = append(p.programs, program{"age", func(op string) *exec.Cmd {
		key := "age/" + p.key
		if op == "put" {
			return p.pipe(`"$1" -r "$2" "$3" | "$4" "$5" "$6" put "$7" -`, program1, identity.Recipient().String(), p.file, p.raw, p.Endpoint, p.Bucket, key)
		}
		return p.pipe(`"$4" "$5" "$6" fetch "$7" - | "$1" -d -i "$2" -o "$3"`, program1, keys, p.file+".age", p.raw, p.Endpoint, p.Bucket, key)
	}})
	return true
}

func addRclone(b *testing.B, p *processes) bool {
	rclone, err := exec.LookPath("rclone")
	if err != nil {
		return false
	}
	password, err := exec.Command(rclone, "obscure", "stone lantern copper orbit meadow quill").Output()
	if err != nil {
		b.Fatal(err)
	}
	p.env = append(p.env,
		"RCLONE_CONFIG_STORE_TYPE=s3", "RCLONE_CONFIG_STORE_PROVIDER=Other", "RCLONE_CONFIG_STORE_ENV_AUTH=true",
		"RCLONE_CONFIG_STORE_ENDPOINT="+p.Endpoint, "RCLONE_CONFIG_STORE_REGION=us-east-1",
		"RCLONE_CONFIG_SEALED_TYPE=crypt", "RCLONE_CONFIG_SEALED_REMOTE=store:"+p.Bucket+"/rclone",
		"RCLONE_CONFIG_SEALED_PASSWORD="+string(bytes.TrimSpace(password)))
	p.programs = append(p.programs, program{"rclone", func(op string) *exec.Cmd {
		from, to := p.file, "sealed:"+p.key
		if op != "put" {
			from, to = to, p.file+".rclone"
		}
		return p.command(rclone, "copyto", "--quiet", "--ignore-times", "--s3-no-check-bucket", from, to)
	}})
	return true
}

func addRestic(b *testing.B, p *processes) bool {
	restic, err := exec.LookPath("restic")
	if err != nil {
		return false
	}
	p.env = append(p.env, "RESTIC_PASSWORD=stone lantern copper orbit meadow quill", "RESTIC_REPOSITORY=s3:"+p.Endpoint+"/"+p.Bucket+"/restic")
	mustRun(b, p.command(restic, "init", "--quiet"))
	p.programs = append(p.programs, program{"restic", func(op string) *exec.Cmd {
		if op == "put" {
			return p.command(restic, "backup", "--quiet", p.file)
		}
		return p.pipe(`"$1" dump --quiet latest "$2" > "$3"`, restic, p.file, p.file+".restic")
	}})
	return true
}
