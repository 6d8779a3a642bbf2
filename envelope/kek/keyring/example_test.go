package keyring_test

import (
	"context"
	"fmt"

	"github.com/objectvault/objectvault/envelope/kek/keyring"
)

func ExampleEnrol() {
	ctx := context.Background()
	e, err := keyring.Enrol(ctx, keyring.Config{Name: "example"}) // once on each machine
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := keyring.New(keyring.Config{Name: "example", Enrolment: &e})
	fmt.Println(keys.Name(), err)
	// Output: keyring example <nil>
}
