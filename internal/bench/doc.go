// Package bench measures, in one run, what sealing costs beside its parts (AES-GCM of
// the standard library, Tink's streaming AEAD) and beside age, and what the command
// needs of memory and time. Run it with make bench.
package bench
