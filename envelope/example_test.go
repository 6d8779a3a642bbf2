package envelope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
)

// sealed returns an object for the examples below.
func sealed(ref envelope.Ref, sources []envelope.KeySource, value string) []byte {
	var object bytes.Buffer
	w, err := envelope.Seal(context.Background(), &object, ref, sources, &envelope.SealOptions{Revision: 1763900000000000})
	if err != nil {
		panic(err)
	}
	io.WriteString(w, value)
	w.Close()
	return object.Bytes()
}

func ExampleSeal() {
	ctx := context.Background()
	sources := []envelope.KeySource{kek.InsecureFixed()}
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}

	var object bytes.Buffer
	w, err := envelope.Seal(ctx, &object, ref, sources, &envelope.SealOptions{
		Metadata: envelope.Metadata{Labels: map[string]string{"env": "prod"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := io.WriteString(w, "sk-or-v1-demo"); err != nil {
		w.Abort() // no reader accepts the object as complete
		fmt.Println(err)
		return
	}
	fmt.Println(w.Close())

	r, err := envelope.Open(ctx, &object, ref, sources)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := io.ReadAll(r)
	fmt.Printf("%s %v %v\n", value, r.Metadata().Labels["env"], err)
	// Output:
	// <nil>
	// sk-or-v1-demo prod <nil>
}

// An object can be opened only under the name for which it was sealed.
func ExampleOpen() {
	sources := []envelope.KeySource{kek.InsecureFixed()}
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	object := sealed(ref, sources, "sk-or-v1-demo")

	ref.Name = "anthropic"
	_, err := envelope.Open(context.Background(), bytes.NewReader(object), ref, sources)
	fmt.Println(errors.Is(err, envelope.ErrUnknownKey))
	// Output: true
}

// A reader that stops early reports that the value is not complete.
func ExampleReader_Complete() {
	sources := []envelope.KeySource{kek.InsecureFixed()}
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "notes"}
	object := sealed(ref, sources, strings.Repeat("note\n", 100000))

	r, err := envelope.Open(context.Background(), bytes.NewReader(object), ref, sources)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.CopyN(io.Discard, r, 5)
	fmt.Println(r.Complete())
	n, err := io.Copy(io.Discard, r)
	fmt.Println(5+n, r.Complete(), err)
	// Output:
	// false
	// 500000 true <nil>
}

// Without a key a header shows the number of recipients, and the unverified revision and
// length.
func ExampleReadHeader() {
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	object := sealed(ref, []envelope.KeySource{kek.InsecureFixed()}, "sk-or-v1-demo")

	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		fmt.Println(err)
		return
	}
	size, err := h.PlaintextSize(int64(len(object)))
	fmt.Println(len(h.Stanzas), h.Revision, size, err)
	// Output: 1 1763900000000000 13 <nil>
}

// A rewrap adds a recipient without changing the payload.
func ExampleRewrap() {
	ctx := context.Background()
	mine, theirs := kek.InsecureFixed(), kek.NewLocal(kek.RandomRoot())
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	object := sealed(ref, []envelope.KeySource{mine}, "sk-or-v1-demo")

	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		fmt.Println(err)
		return
	}
	header, err := envelope.Rewrap(ctx, h, ref, []envelope.KeySource{mine}, []envelope.KeySource{mine, theirs})
	if err != nil {
		fmt.Println(err)
		return
	}
	object = slices.Concat(header, object[h.Len():])

	r, err := envelope.Open(ctx, bytes.NewReader(object), ref, []envelope.KeySource{theirs})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := io.ReadAll(r)
	fmt.Printf("%s %d %v\n", value, r.Header().Rewrap, err)
	// Output: sk-or-v1-demo 1 <nil>
}

// A rename is a rewrap, too.
func ExampleMove() {
	ctx := context.Background()
	sources := []envelope.KeySource{kek.InsecureFixed()}
	from := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	to := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "llm/openrouter"}
	object := sealed(from, sources, "sk-or-v1-demo")

	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		fmt.Println(err)
		return
	}
	header, err := envelope.Move(ctx, h, from, to, sources, sources)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := envelope.Open(ctx, io.MultiReader(bytes.NewReader(header), bytes.NewReader(object[h.Len():])), to, sources)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := io.ReadAll(r)
	fmt.Printf("%s %v\n", value, err)
	// Output: sk-or-v1-demo <nil>
}

// Two requests read a part of an object: one for its start, one for the segments.
func ExampleOpenHeader() {
	ctx := context.Background()
	sources := []envelope.KeySource{kek.InsecureFixed()}
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "notes"}
	object := sealed(ref, sources, strings.Repeat("0123456789", 100000))

	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object[:16<<10]), ref, sources)
	if err != nil {
		fmt.Println(err)
		return
	}
	span, err := o.Range(int64(len(object)), 500003, 5)
	if err != nil {
		fmt.Println(err)
		return
	}
	part := io.NewSectionReader(bytes.NewReader(object), span.Offset, span.Length)
	value, err := io.ReadAll(o.OpenRange(part, span))
	fmt.Printf("%s, of %d bytes, %v\n", value, span.Length, err)
	// Output: 34567, of 65536 bytes, <nil>
}
