package passphrase_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/passphrase"
)

// A passphrase is enrolled once. The record seals; the passphrase alone opens.
func Example() {
	ctx := context.Background()
	c := passphrase.Config{Passphrase: func(context.Context) ([]byte, error) {
		return passphrase.Clean([]byte("correct horse battery staple\n"), true) // as read from a file
	}}
	record, err := passphrase.Enrol(ctx, c)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(record.Time, record.Memory, record.Threads)

	c.Enrolment = &record // a program stores it as JSON; it contains no secret
	source, err := passphrase.New(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "openrouter"}
	var object bytes.Buffer
	w, err := envelope.Seal(ctx, &object, ref, []envelope.KeySource{source}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(w, "sk-demo")
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}

	c.Enrolment = nil // on another machine
	reader, err := passphrase.New(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	r, err := envelope.Open(ctx, &object, ref, []envelope.KeySource{reader})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := io.ReadAll(r)
	fmt.Println(string(value), err)
	// Output:
	// 3 65536 4
	// sk-demo <nil>
}

func ExampleClean() {
	typed, _ := passphrase.Clean([]byte("cafe\u0301"), false)
	read, _ := passphrase.Clean([]byte("caf\u00e9\r\n"), true)
	fmt.Println(string(typed) == string(read))
	// Output: true
}
