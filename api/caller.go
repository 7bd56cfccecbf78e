package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"waggle/chat"
)

// credential says what a request was authenticated by.
type credential string

const (
	bySecretKey credential = "secret_key"
	byAPIKey    credential = "api_key"
	bySession   credential = "session"
)

// caller is who makes a request. Its environment is the only one the request can reach.
type caller struct {
	Environment uuid.UUID
	By          credential
	Role        chat.Role
	AgentID     uuid.UUID // the agent of a session; zero for servers and for users who serve no chats
	CRMUserID   string
	SessionID   uuid.UUID // of a session
	CRMURL      string    // address of the environment's CRM; empty until Step 1 names it
	ChatsOn     bool      // the environment's chats are switched on
	wizardOnly  bool      // a secret key beside an API key
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf returns who makes the request. Every generated operation but the public ones is behind authentication, so that
// there always is one; a missing caller is a 401 all the same.
func callerOf(ctx context.Context) (caller, error) {
	c, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		return caller{}, fail(http.StatusUnauthorized, "unauthorized", "Send the secret key, the API key or a session token as a bearer token.")
	}
	return c, nil
}

// administrator returns the caller if he may do everything.
func administrator(ctx context.Context) (caller, error) {
	return withRole(ctx, "Only an administrator may do this.", chat.Administrator)
}

// chatAdministrator returns the caller if he may administer chats: an administrator or a chat administrator.
func chatAdministrator(ctx context.Context) (caller, error) {
	return withRole(ctx, "Only an administrator or a chat administrator may do this.", chat.Administrator, chat.ChatAdministrator)
}

func withRole(ctx context.Context, otherwise string, roles ...chat.Role) (caller, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return caller{}, err
	}
	for _, r := range roles {
		if c.Role == r {
			return c, nil
		}
	}
	return caller{}, forbidden(otherwise)
}
