package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"waggle/store"
)

// idem is what guards a creating operation against being carried out twice; key is the request's Idempotency-Key, nil where
// there is none. What makes two requests the same: the caller and the parts, which are the path's ids and the body.
func idem(ctx context.Context, operation string, key *string, parts ...any) (store.Idem, error) {
	if key == nil {
		return store.Idem{}, nil
	}
	if *key == "" { // to the contract's check an empty header is none
		return store.Idem{}, invalid(field("Idempotency-Key", "must not be empty"))
	}
	c, err := callerOf(ctx)
	if err != nil {
		return store.Idem{}, err
	}
	request, err := json.Marshal([]any{c.By, c.Role, c.AgentID, c.CRMUserID, parts})
	if err != nil {
		return store.Idem{}, fmt.Errorf("fingerprint a request to %s: %w", operation, err)
	}
	hash := sha256.Sum256(request)
	return store.Idem{Operation: operation, Key: strings.Clone(*key), RequestHash: hash[:]}, nil
}
