// Package bench measures the cost of sealing. One run compares it with its parts (AES-GCM of the
// standard library, Tink's streaming AEAD) and with age, and measures the memory and the run time
// of the command. Run it with make bench.
package bench
