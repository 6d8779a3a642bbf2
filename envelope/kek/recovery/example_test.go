package recovery_test

import (
	"fmt"

	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/recovery"
)

func ExampleSplit() {
	root := kek.RandomRoot()
	shares, err := recovery.Split(root, 2, 3) // keep each share in another place
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := recovery.Combine([]recovery.Share{shares[2], shares[0]})
	fmt.Println(kek.NewLocal(again).Fingerprint() == kek.NewLocal(root).Fingerprint(), err)
	// Output: true <nil>
}
