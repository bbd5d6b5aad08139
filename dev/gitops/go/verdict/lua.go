package main

import (
	"context"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// What Argo CD gives a script of argocd-cm that does not ask for open libraries: no string, math, io or debug, and of
// os only the clock, which nothing here needs. And a second.
const patience = time.Second

var libraries = map[string]lua.LGFunction{
	lua.LoadLibName: lua.OpenPackage,
	lua.BaseLibName: lua.OpenBase,
	lua.TabLibName:  lua.OpenTable,
}

func runLua(script string, object map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		call := lua.P{Fn: state.NewFunction(libraries[name]), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returns %s, not a table", state.Get(-1).Type())
	}
	return fromLua(returned)
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch given := value.(type) {
	case bool:
		return lua.LBool(given)
	case string:
		return lua.LString(given)
	case int64:
		return lua.LNumber(given)
	case float64:
		return lua.LNumber(given)
	case []any:
		table := state.CreateTable(len(given), 0)
		for _, item := range given {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(given))
		for key, item := range given {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

// fromLua makes a list of an empty table, as Argo CD does.
func fromLua(value lua.LValue) (any, error) {
	switch given := value.(type) {
	case lua.LBool:
		return bool(given), nil
	case lua.LString:
		return string(given), nil
	case lua.LNumber:
		return float64(given), nil
	case *lua.LTable:
		return fromTable(given)
	}
	return nil, fmt.Errorf("a %s has no JSON", value.Type())
}

func fromTable(table *lua.LTable) (any, error) {
	if key, _ := table.Next(lua.LNil); key == lua.LNil || key.Type() == lua.LTNumber {
		list := make([]any, 0, table.Len())
		for index := 1; index <= table.Len(); index++ {
			item, err := fromLua(table.RawGetInt(index))
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	}
	object := map[string]any{}
	var failed error
	table.ForEach(func(key, item lua.LValue) {
		name, ok := key.(lua.LString)
		if !ok {
			failed = fmt.Errorf("a table has the key %s beside strings", key)
			return
		}
		inner, err := fromLua(item)
		if err != nil {
			failed = err
			return
		}
		object[string(name)] = inner
	})
	return object, failed
}
