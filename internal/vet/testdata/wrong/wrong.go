package wrong

import "fmt"

func F() {
	fmt.Printf("%d")
}
