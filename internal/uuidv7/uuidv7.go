// Package uuidv7 makes the ids of the domain, which itself imports no library.
package uuidv7

import (
	"github.com/google/uuid"

	"rescind/internal/revocation"
)

// New makes an id of UUID version 7 (RFC 9562). Within a process each is higher than those before it.
func New() revocation.ID { return revocation.ID(uuid.Must(uuid.NewV7())) }
