package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cast"
	"github.com/spf13/viper"

	"lastcall/domain"
)

// field is one setting: a leaf of Config.
type field struct {
	key      string
	variable string
	value    reflect.Value
}

// walk lists the settings of c in the order they are declared.
func walk(c *Config) []field {
	var fields []field
	var down func(prefix string, v reflect.Value)
	down = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name, ok := v.Type().Field(i).Tag.Lookup("key")
			switch {
			case !ok:
			case v.Field(i).Kind() == reflect.Struct:
				down(prefix+name+".", v.Field(i))
			default:
				key := prefix + name
				variable := "LASTCALL_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
				fields = append(fields, field{key, variable, v.Field(i)})
			}
		}
	}
	down("", reflect.ValueOf(c).Elem())
	return fields
}

// set puts a value as viper gives it into the field. The error names what was expected and, because the
// value may be a secret, never what was found.
func (f field) set(raw any) error {
	var value any
	var err error
	var want string
	switch f.value.Interface().(type) {
	case Secret:
		want = "text"
		var s string
		s, err = scalar(raw)
		value = Secret(s)
	case string:
		want = "text"
		value, err = scalar(raw)
	case int:
		want = "a whole number"
		value, err = whole(raw)
	case time.Duration:
		want = `a duration such as "90s" or "10m"`
		if s, isText := raw.(string); isText {
			value, err = time.ParseDuration(s)
		} else if d, isDuration := raw.(time.Duration); isDuration {
			value = d
		} else {
			err = fmt.Errorf("%T", raw) // a bare number would be nanoseconds, which nobody means
		}
	case []string:
		want = "a list"
		value, err = list(raw)
	default:
		return fmt.Errorf("config: setting %s has a type nobody reads: %s", f.key, f.value.Type())
	}
	if err != nil {
		return domain.E(domain.Invalid, "setting_malformed", "must be %s", want).About(f.key)
	}
	f.value.Set(reflect.ValueOf(value))
	return nil
}

func scalar(raw any) (string, error) {
	if raw == nil {
		return "", nil
	}
	return cast.ToStringE(raw)
}

func whole(raw any) (int, error) {
	switch n := raw.(type) {
	case int:
		return n, nil
	case string:
		return strconv.Atoi(strings.TrimSpace(n))
	default: // 2.5 and true are no numbers of lanes
		return 0, fmt.Errorf("%T", raw)
	}
}

func list(raw any) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	if s, ok := raw.(string); ok {
		raw = strings.Split(s, ",")
	}
	items, err := cast.ToStringSliceE(raw)
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return slices.DeleteFunc(items, func(s string) bool { return s == "" }), err
}

// notSettings are the LASTCALL_* variables that are no settings: the CLI's and `up`'s own.
var notSettings = []string{"LASTCALL_API", "LASTCALL_TOKEN", "LASTCALL_PORT_BASE", "LASTCALL_BOOTSTRAP_TOKEN", "LASTCALL_BOOTSTRAP_ADMIN",
	"LASTCALL_BOOTSTRAP_ACCOUNTS", "LASTCALL_BOOTSTRAP_PIN"}

func unknownVariables(fields []field) (problems []error) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		known := slices.Contains(notSettings, name) ||
			slices.ContainsFunc(fields, func(f field) bool { return f.variable == name })
		if strings.HasPrefix(name, "LASTCALL_") && !known {
			problems = append(problems, domain.E(domain.Invalid, "setting_unknown", "there is no such setting").About(name))
		}
	}
	return problems
}

func unknownKeys(v *viper.Viper, fields []field) (problems []error) {
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		if !v.InConfig(key) {
			continue // an empty section: all its lines are commented out
		}
		if !slices.ContainsFunc(fields, func(f field) bool { return f.key == key }) {
			problems = append(problems, domain.E(domain.Invalid, "setting_unknown", "there is no such setting").About(key))
		}
	}
	return problems
}

var lineNumber = regexp.MustCompile(`line \d+`)

func lineOf(err error) string {
	if line := lineNumber.FindString(err.Error()); line != "" {
		return " (" + line + ")"
	}
	return ""
}
