package policy

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
)

// SettingChange is one field of a setting that differs between two of its values.
type SettingChange struct {
	Field  string          `json:"field,omitempty" doc:"Like RW.start; absent: the whole value"`
	Before json.RawMessage `json:"before,omitempty" doc:"Absent: it was not there"`
	After  json.RawMessage `json:"after,omitempty" doc:"Absent: it is not there any more"`
}

// Changes compares two JSON values field by field, in the order of the fields' names; lists are compared as a
// whole. What is no JSON counts as absent.
func Changes(before, after json.RawMessage) []SettingChange {
	return changes([]SettingChange{}, "", before, after)
}

func changes(found []SettingChange, field string, before, after json.RawMessage) []SettingChange {
	var was, is map[string]json.RawMessage
	if json.Unmarshal(before, &was) == nil && json.Unmarshal(after, &is) == nil && was != nil && is != nil {
		names := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			found = changes(found, path(field, name), was[name], is[name])
		}
		return found
	}
	var a, b any
	_, _ = json.Unmarshal(before, &a), json.Unmarshal(after, &b) // absent is nil
	if reflect.DeepEqual(a, b) {
		return found
	}
	return append(found, SettingChange{field, before, after})
}
