package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
)

// PermissionTable is who may what.
type PermissionTable struct {
	Roles       []access.Role     `json:"roles"`
	Permissions []PermissionEntry `json:"permissions"`
}

// PermissionEntry is one line of it.
type PermissionEntry struct {
	Permission access.Permission `json:"permission"`
	Roles      []access.Role     `json:"roles" doc:"Who has it"`
}

func (s *server) permissions() {
	register(s, access.SignedIn, huma.Operation{OperationID: "list-permissions", Method: http.MethodGet, Path: "/permissions", Tags: []string{"Accounts"},
		Summary: "Which role may what", Description: "The table that every request is held against."},
		func(context.Context, *struct{}) (*struct{ Body PermissionTable }, error) {
			table := PermissionTable{Roles: access.Roles}
			for _, p := range access.Grantable() {
				entry := PermissionEntry{Permission: p, Roles: []access.Role{}}
				for _, r := range access.Roles {
					if access.May(r, p) {
						entry.Roles = append(entry.Roles, r)
					}
				}
				table.Permissions = append(table.Permissions, entry)
			}
			return &struct{ Body PermissionTable }{table}, nil
		})
}
