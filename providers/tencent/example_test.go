package tencent_test

import (
	"context"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/providers/tencent"
)

func ExampleOpen() {
	s, err := costest.New(nil) // its bucket never had versioning
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	store, err := tencent.Open(ctx, tencent.Config{
		Bucket: s.Bucket(), Region: s.Region(), Endpoint: s.URL(),
		Static: cosblob.Static(s.SecretID(), s.SecretKey(), ""),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	for _, text := range []string{"first", "second"} {
		_, err := store.Create.Create(ctx, "key", func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		fmt.Println(err != nil)
	}
	got, err := store.Bucket.ReadAll(ctx, "key")
	fmt.Println(store.Name, string(got), err)
	// Output:
	// false
	// true
	// cos://vault-1250000000 first <nil>
}
