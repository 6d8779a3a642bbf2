// Package vault keeps the credentials of AI agents, or any object, sealed in a
// bucket of the operator's own.
package vault
