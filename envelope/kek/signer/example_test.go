package signer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
)

// A signer is enrolled once. Then objects are sealed and opened with one signature each.
func Example() {
	server, err := signertest.Start(nil) // a real signer is an https URL
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ctx := context.Background()
	c := signer.Config{URL: server.URL(), Omni: "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"}

	record, err := signer.Enrol(ctx, c)
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Enrolment = &record // a program stores it as JSON; it contains no secret
	source, err := signer.New(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	fmt.Println("key version", record.KeyVersion, "epoch", record.Epoch, server.Requests())

	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "openrouter"}
	var object bytes.Buffer
	w, err := envelope.Seal(ctx, &object, ref, []envelope.KeySource{source}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(w, "sk-demo")
	fmt.Println(w.Close(), server.Requests())

	r, err := envelope.Open(ctx, &object, ref, []envelope.KeySource{source})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := io.ReadAll(r)
	fmt.Println(string(value), err, server.Requests())
	// Output:
	// key version 1 epoch 1 [POST /dev/derive-address POST /dev/sign-message POST /dev/sign-message]
	// <nil> [POST /dev/sign-message]
	// sk-demo <nil> [POST /dev/sign-message]
}
