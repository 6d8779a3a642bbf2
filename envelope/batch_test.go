package envelope

import "testing"

// A panic of a goroutine that seals or opens reaches the caller.
func TestPanicReachesCaller(t *testing.T) {
	defer func() {
		if got := recover(); got != "broken" {
			t.Errorf("recovered %v", got)
		}
	}()
	b := &batch{}
	b.run(false, func(*batch) { panic("broken") })
	b.wait()
	t.Error("wait returned")
}
