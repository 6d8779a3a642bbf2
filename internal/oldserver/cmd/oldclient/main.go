// Command oldclient reads and stores credentials in a bucket as a client of agentKeys does, for tests
// and demonstrations. It is written from the published formats of agentKeys with the standard library,
// and shares no code with package agentkeys.
//
//	oldclient -bucket URL -signer URL -omni HEX -token TOKEN get SERVICE
//	oldclient -bucket URL -signer URL -omni HEX -token TOKEN put v1|v2 SERVICE < VALUE
//	oldclient -bucket URL -signer URL -omni HEX -token TOKEN ls
//
// The bucket is a URL of gocloud.dev: cos://BUCKET-APPID?region=R&endpoint=URL or file:///DIR.
package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"

	_ "github.com/objectvault/objectvault/cosblob"
)

func main() {
	c := &client{http: &http.Client{Timeout: 30 * time.Second}}
	var bucket string
	flag.StringVar(&bucket, "bucket", "", "`URL` of the bucket")
	flag.StringVar(&c.signer, "signer", "", "base `URL` of the signer")
	flag.StringVar(&c.omni, "omni", "", "omni account, 64 hexadecimal digits")
	flag.StringVar(&c.token, "token", "", "bearer `token` for the signer")
	flag.Parse()
	if err := c.run(context.Background(), bucket, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "oldclient: %v\n", err)
		os.Exit(1)
	}
}

// A client is a program that uses agentKeys.
type client struct {
	http                *http.Client
	signer, omni, token string
	bucket              *blob.Bucket
}

func (c *client) run(ctx context.Context, bucket string, args []string) (err error) {
	if c.bucket, err = blob.OpenBucket(ctx, bucket); err != nil {
		return err
	}
	defer c.bucket.Close()
	switch {
	case len(args) == 2 && args[0] == "get":
		value, err := c.get(ctx, args[1])
		if err == nil {
			_, err = os.Stdout.Write(value)
		}
		return err
	case len(args) == 3 && args[0] == "put":
		value, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return c.put(ctx, args[1], args[2], value)
	case len(args) == 1 && args[0] == "ls":
		return c.list(ctx)
	}
	return errors.New("usage: oldclient [flags] get SERVICE | put v1|v2 SERVICE | ls")
}

// get reads a credential: v2 first, and v1 only if there is no object of v2.
func (c *client) get(ctx context.Context, service string) ([]byte, error) {
	wallet, err := c.wallet(ctx)
	if err != nil {
		return nil, err
	}
	f := format{2, c.omni}
	object, err := c.bucket.ReadAll(ctx, f.key(service))
	if gcerrors.Code(err) == gcerrors.NotFound {
		f = format{1, wallet}
		object, err = c.bucket.ReadAll(ctx, f.key(service))
	}
	if err != nil {
		return nil, err
	}
	if len(object) < 29 || object[0] != f.version {
		return nil, fmt.Errorf("%s is malformed: it is not an object of agentKeys v%d", f.key(service), f.version)
	}
	aead, err := c.aead(ctx, wallet, service)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, object[1:13], object[13:], f.aad(service))
}

// put stores a credential.
func (c *client) put(ctx context.Context, version, service string, value []byte) error {
	wallet, err := c.wallet(ctx)
	if err != nil {
		return err
	}
	f := format{1, wallet}
	if version == "v2" {
		f = format{2, c.omni}
	}
	aead, err := c.aead(ctx, wallet, service)
	if err != nil {
		return err
	}
	object := make([]byte, 13)
	object[0] = f.version
	rand.Read(object[1:])
	object = aead.Seal(object, object[1:13], value, f.aad(service))
	return c.bucket.WriteAll(ctx, f.key(service), object, &blob.WriterOptions{ContentType: "application/octet-stream"})
}

// list prints the services of both prefixes.
func (c *client) list(ctx context.Context) error {
	wallet, err := c.wallet(ctx)
	if err != nil {
		return err
	}
	services := make(map[string]bool)
	for _, id := range []string{c.omni, wallet} {
		prefix := "bots/" + id + "/credentials/"
		for list := c.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
			o, err := list.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if service, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), ".enc"); ok && !strings.Contains(service, "/") {
				services[service] = true
			}
		}
	}
	names := make([]string, 0, len(services))
	for service := range services {
		names = append(names, service)
	}
	slices.Sort(names)
	for _, service := range names {
		fmt.Println(service)
	}
	return nil
}

// A format is a version of an object, and the id that its key and its AAD contain.
type format struct {
	version byte
	id      string
}

func (f format) key(service string) string {
	return "bots/" + f.id + "/credentials/" + service + ".enc"
}

func (f format) aad(service string) []byte {
	return fmt.Appendf(nil, "agentkeys.cred.aad.v%d|%s|%s", f.version, f.id, service)
}

// aead returns the cipher of a service. Its key is derived from a signature of the wallet.
func (c *client) aead(ctx context.Context, wallet, service string) (cipher.AEAD, error) {
	message := hex.EncodeToString([]byte("agentkeys.kek.v1:" + wallet + ":" + service))
	var response struct{ Signature string }
	if err := c.post(ctx, "/dev/sign-message", map[string]string{"omni_account": c.omni, "message_hex": message}, &response); err != nil {
		return nil, err
	}
	signature, err := hex.DecodeString(strings.TrimPrefix(response.Signature, "0x"))
	if err != nil || len(signature) != 65 {
		return nil, errors.New("the signer returned no signature of 65 bytes")
	}
	kek := sha256.Sum256(append([]byte("agentkeys.kek-derive.v1"), signature...))
	block, err := aes.NewCipher(kek[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// wallet returns the address of the wallet.
func (c *client) wallet(ctx context.Context) (string, error) {
	var response struct{ Address string }
	err := c.post(ctx, "/dev/derive-address", map[string]string{"omni_account": c.omni}, &response)
	return strings.ToLower(response.Address), err
}

// post sends a request to the signer.
func (c *client) post(ctx context.Context, path string, body map[string]string, response any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.signer, "/")+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("signer: %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(response)
}
