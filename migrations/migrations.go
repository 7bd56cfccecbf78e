// Package migrations holds the schema steps. Steps under common run on both databases, those under postgres and sqlite on one
// only. Released steps are never edited; a step expands first, contracts in a later release, so that old and new processes
// can run side by side.
package migrations

import "embed"

// Common steps, for PostgreSQL and SQLite.
//
//go:embed common/*.sql
var Common embed.FS

// Postgres steps, for PostgreSQL only.
//
//go:embed postgres/*.sql
var Postgres embed.FS

// SQLite steps, for SQLite only.
//
//go:embed sqlite/*.sql
var SQLite embed.FS
