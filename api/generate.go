// Package api is the REST façade. The contract is openapi.yaml at the root of the repository; the types, the routes and
// the interface the handlers implement are generated from it into api/gen.
package api

//go:generate go tool oapi-codegen -config oapi-codegen.yaml ../openapi.yaml
//go:generate go tool oapi-codegen -config oapi-codegen-spec.yaml ../openapi.yaml
