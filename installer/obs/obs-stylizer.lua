-- obs-stylizer.lua: OBS's own hotkeys for obs-stylizer.
--
-- In OBS: Tools, Scripts, “+”, this file. Its hotkeys are then in OBS's settings under Hotkeys,
-- one for each preset and command. They are sent to the daemon over HTTP.
--
-- OBS lets scripts run on the thread that draws its picture, so nothing here ever waits: sockets
-- are non-blocking, and each frame moves them on by what can be done at once. Plain Lua has no
-- sockets; OBS's is LuaJIT, whose FFI calls those of the system.
--
-- Run on Linux. The parts for Windows and macOS were written from their documentation and have
-- not been run.

local obs = obslua
local has_ffi, ffi = pcall(require, "ffi")

local DEFAULT_ADDRESS = "127.0.0.1:8765"
local ANSWER_SECONDS = 2.0 -- A daemon that takes longer is hung.
local STALE_SECONDS = 2.0 -- A key that could not be sent for so long is not meant any more.
local MOST_WAITING = 32
local MOST_BYTES = 512 * 1024
local STATUS_SECONDS = 2.0
local PRESETS_SECONDS = 10.0
local TURN_MILLISECONDS = 10 -- At most once for each frame of OBS.

local COMMANDS = {
    { "next", "next preset", '{"command": "next"}' },
    { "previous", "previous preset", '{"command": "previous"}' },
    { "undo", "undo the last change", '{"command": "undo"}' },
    { "stronger", "stronger", '{"command": "strength-step", "by": 0.1}' },
    { "weaker", "weaker", '{"command": "strength-step", "by": -0.1}' },
    { "bypass", "bypass on or off", '{"command": "bypass"}' },
    {
        "hold-bypass",
        "bypass while held",
        '{"command": "bypass", "bypass": true}',
        '{"command": "bypass", "bypass": false}',
    },
    { "freeze", "freeze on or off", '{"command": "freeze"}' },
    { "record", "recording on or off", '{"command": "record"}' },
    { "snapshot", "snapshot", '{"command": "snapshot"}' },
    { "reload", "read the presets again", '{"command": "reload"}' },
}

local address = DEFAULT_ADDRESS
local token = ""
local given_token = "" -- What stands in the script's settings.
local state = "not asked yet"
local is_loaded = true
local is_reached = nil
local hotkeys = {} -- Numbers that OBS gave, by name.
local presets = {} -- { name, title } of each preset that was ever told of.
local ask_status_at = 0.0
local ask_presets_at = 0.0

local function now()
    return obs.os_gettime_ns() / 1e9
end

-- Where obs-stylizer keeps the token of this user; nil where it cannot be told.
local function token_file()
    local home = os.getenv("HOME") or ""
    if has_ffi and ffi.os == "Windows" then
        local folder = os.getenv("LOCALAPPDATA")
        return folder and folder .. "\\obs-stylizer\\token"
    elseif has_ffi and ffi.os == "OSX" then
        return home .. "/Library/Application Support/obs-stylizer/token"
    end
    local folder = os.getenv("XDG_CONFIG_HOME")
    if not folder or folder == "" then
        folder = home .. "/.config"
    end
    return folder .. "/obs-stylizer/token"
end

-- Recordings and snapshots need the token. That of this machine is read, not asked for; a small
-- file of this user's disk, which makes nobody wait.
local function find_token()
    token = given_token
    local is_here = address:match("^127%.") or address:match("^localhost")
    if token ~= "" or not is_here then
        return
    end
    local path = token_file()
    local file = path and io.open(path, "r")
    if file then
        token = (file:read(1000) or ""):gsub("[%c%s]", "")
        file:close()
    end
end

------------------------------------------------------------------------------------------------
-- Sockets that never wait.

local sockets = {}

if has_ffi and ffi.os == "Windows" then
    ffi.cdef([[
        int WSAStartup(unsigned short version, void *data);
        int WSAGetLastError(void);
        intptr_t socket(int family, int kind, int protocol);
        int connect(intptr_t socket, const void *address, int size);
        int send(intptr_t socket, const void *data, int size, int flags);
        int recv(intptr_t socket, void *data, int size, int flags);
        int ioctlsocket(intptr_t socket, long command, unsigned long *argument);
        int closesocket(intptr_t socket);
    ]])
    local winsock = ffi.load("ws2_32")
    winsock.WSAStartup(0x0202, ffi.new("char[1024]"))
    local NON_BLOCKING = -2147195266 -- FIONBIO
    -- WSAEWOULDBLOCK, WSAEINPROGRESS, WSAEALREADY, WSAENOTCONN
    local LATER = { [10035] = true, [10036] = true, [10037] = true, [10057] = true }

    function sockets.open()
        local opened = winsock.socket(2, 1, 6)
        if opened == -1 then
            return nil
        end
        winsock.ioctlsocket(opened, NON_BLOCKING, ffi.new("unsigned long[1]", 1))
        return opened
    end

    function sockets.connect(socket, to)
        return winsock.connect(socket, to, 16)
    end

    function sockets.send(socket, data, size)
        return winsock.send(socket, data, size, 0)
    end

    function sockets.receive(socket, data, size)
        return winsock.recv(socket, data, size, 0)
    end

    function sockets.close(socket)
        winsock.closesocket(socket)
    end

    function sockets.may_come_later()
        return LATER[winsock.WSAGetLastError()] or false
    end
elseif has_ffi then
    ffi.cdef([[
        int socket(int family, int kind, int protocol);
        int connect(int socket, const void *address, unsigned int size);
        intptr_t send(int socket, const void *data, size_t size, int flags);
        intptr_t recv(int socket, void *data, size_t size, int flags);
        int fcntl(int socket, int command, ...);
        int setsockopt(int socket, int level, int name, const void *value, unsigned int size);
        int close(int socket);
    ]])
    local is_linux = ffi.os == "Linux"
    local NO_SIGNAL = is_linux and 0x4000 or 0
    local LATER = {}
    -- EAGAIN, EINPROGRESS, EALREADY, ENOTCONN
    for _, number in ipairs(is_linux and { 11, 115, 114, 107 } or { 35, 36, 37, 57 }) do
        LATER[number] = true
    end

    function sockets.open()
        -- Linux: SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC.
        local opened = ffi.C.socket(2, is_linux and 1 + 0x800 + 0x80000 or 1, 0)
        if opened < 0 then
            return nil
        end
        if not is_linux then
            ffi.C.fcntl(opened, 4, ffi.cast("int", 4)) -- F_SETFL, O_NONBLOCK
            ffi.C.fcntl(opened, 2, ffi.cast("int", 1)) -- F_SETFD, FD_CLOEXEC
            ffi.C.setsockopt(opened, 0xffff, 0x1022, ffi.new("int[1]", 1), 4) -- SO_NOSIGPIPE
        end
        return opened
    end

    function sockets.connect(socket, to)
        return ffi.C.connect(socket, to, 16)
    end

    function sockets.send(socket, data, size)
        return tonumber(ffi.C.send(socket, data, size, NO_SIGNAL))
    end

    function sockets.receive(socket, data, size)
        return tonumber(ffi.C.recv(socket, data, size, 0))
    end

    function sockets.close(socket)
        ffi.C.close(socket)
    end

    function sockets.may_come_later()
        return LATER[ffi.errno()] or false
    end
end

-- Returns the address as the system takes it, or nil. Names are not looked up: that would wait.
local function socket_address(text)
    local host, port = text:match("^([^:]+):(%d+)$")
    if host == "localhost" then
        host = "127.0.0.1"
    end
    local parts = { (host or ""):match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
    port = tonumber(port)
    if #parts ~= 4 or not port or port < 1 or port > 65535 then
        return nil
    end
    local made = ffi.new("unsigned char[16]")
    if ffi.os == "OSX" or ffi.os == "BSD" then
        made[0], made[1] = 16, 2
    else
        made[0] = 2
    end
    made[2], made[3] = math.floor(port / 256), port % 256
    for place, part in ipairs(parts) do
        if tonumber(part) > 255 then
            return nil
        end
        made[3 + place] = tonumber(part)
    end
    return made
end

------------------------------------------------------------------------------------------------
-- Requests. Those of keys go one after another, so that they arrive in the order in which they
-- were pressed; questions have a lane of their own, so that no key waits behind one.

local keys = { waiting = {} }
local questions = { waiting = {} }
local received = has_ffi and ffi.new("char[16384]") or nil

local function finish(lane, status, body)
    local done = lane.current
    lane.current = nil
    if done.socket then
        sockets.close(done.socket)
    end
    done.on_done(status, body)
end

local function begin(lane, request)
    lane.current = request
    request.sent = 0
    request.answer = ""
    request.until_time = now() + ANSWER_SECONDS
    local to = socket_address(address)
    if not to then
        finish(lane, nil, "“" .. address .. "” is no address, as " .. DEFAULT_ADDRESS .. " is")
        return
    end
    local head = {
        request.method .. " " .. request.path .. " HTTP/1.1",
        "Host: " .. address,
        "Connection: close",
        "Content-Type: application/json",
        "Content-Length: " .. #request.body,
    }
    if token ~= "" then
        table.insert(head, "Authorization: Bearer " .. token)
    end
    request.data = table.concat(head, "\r\n") .. "\r\n\r\n" .. request.body
    request.socket = sockets.open()
    if not request.socket then
        finish(lane, nil, "no socket can be had")
        return
    end
    if sockets.connect(request.socket, to) ~= 0 and not sockets.may_come_later() then
        finish(lane, nil, "nothing answers at " .. address)
    end
end

-- Returns status and body once all is there. Bodies are not in chunks: their length is known.
local function whole_answer(text, is_closed)
    local head_end = text:find("\r\n\r\n", 1, true)
    if not head_end then
        return nil
    end
    local head = text:sub(1, head_end)
    local status = tonumber(head:match("^HTTP/%d%.%d (%d%d%d)"))
    local length = tonumber(head:lower():match("\ncontent%-length: *(%d+)"))
    local body = text:sub(head_end + 4)
    if status and (is_closed or (length and #body >= length)) then
        return status, body
    end
    return nil
end

-- Moves the current request on by what can be done at once. Returns whether anything was.
local function advance(lane)
    local request = lane.current
    if now() > request.until_time then
        finish(lane, nil, "obs-stylizer at " .. address .. " does not answer")
        return true
    end
    if request.sent < #request.data then
        local rest = request.data:sub(request.sent + 1)
        local count = sockets.send(request.socket, rest, #rest)
        if count > 0 then
            request.sent = request.sent + count
            return true
        end
        if not sockets.may_come_later() then
            finish(lane, nil, "nothing answers at " .. address)
            return true
        end
        return false
    end
    local count = sockets.receive(request.socket, received, 16384)
    if count < 0 and sockets.may_come_later() then
        return false
    end
    if count > 0 then
        request.answer = request.answer .. ffi.string(received, count)
    end
    local status, body = whole_answer(request.answer, count <= 0)
    if status then
        finish(lane, status, body)
    elseif count <= 0 or #request.answer > MOST_BYTES then
        finish(lane, nil, "what answers at " .. address .. " is not obs-stylizer")
    end
    return true
end

local function move_on(lane)
    -- A bound, so that no answer can keep a frame of OBS waiting.
    for _ = 1, 16 do
        if lane.current then
            if not advance(lane) then
                return
            end
        else
            local request = table.remove(lane.waiting, 1)
            if not request then
                return
            end
            if request.always or now() - request.asked_at <= STALE_SECONDS then
                begin(lane, request)
            end
        end
    end
end

local function send(lane, method, path, body, on_done, always)
    if #lane.waiting >= MOST_WAITING then
        table.remove(lane.waiting, 1)
    end
    table.insert(lane.waiting, {
        method = method,
        path = path,
        body = body,
        on_done = on_done,
        always = always,
        asked_at = now(),
    })
end

------------------------------------------------------------------------------------------------
-- What the daemon says.

-- Says in OBS's script log when the daemon is found and when it is lost, and only then.
local function note_reached(reached, why)
    if reached ~= is_reached then
        if reached then
            obs.script_log(obs.LOG_INFO, "obs-stylizer at " .. address .. " is reached")
        elseif is_reached then
            obs.script_log(obs.LOG_WARNING, why)
        end
        is_reached = reached
    end
end

local function read_json(text, read)
    local data = obs.obs_data_create_from_json(text)
    if data == nil then
        return
    end
    read(data)
    obs.obs_data_release(data)
end

local function take_refusal(status, body)
    local reason = "HTTP " .. status
    read_json(body, function(data)
        local refused = obs.obs_data_get_obj(data, "error")
        if refused ~= nil then
            reason = obs.obs_data_get_string(refused, "message")
            local remedy = obs.obs_data_get_string(refused, "remedy")
            if remedy ~= "" then
                reason = reason .. " (" .. remedy .. ")"
            end
            obs.obs_data_release(refused)
        end
    end)
    return reason
end

local function take_status(status, body)
    if not status then
        note_reached(false, body)
        state = body .. "\nStart it with: obs-stylizer run"
    elseif status ~= 200 then
        note_reached(false, take_refusal(status, body))
        state = take_refusal(status, body)
    else
        note_reached(true)
        read_json(body, function(data)
            local strength = math.floor(100 * obs.obs_data_get_double(data, "strength") + 0.5)
            state = "On air: " .. obs.obs_data_get_string(data, "preset") .. " at " .. strength .. " %"
            if obs.obs_data_get_bool(data, "bypass") then
                state = "On air: the plain picture (bypass)"
            end
            local trouble = obs.obs_data_get_string(data, "trouble")
            if trouble ~= "" then
                state = state .. "\n" .. trouble
            end
        end)
    end
end

local function take_answer(status, body)
    if not status then
        note_reached(false, body)
    elseif status ~= 200 then
        obs.script_log(obs.LOG_WARNING, take_refusal(status, body))
    end
end

------------------------------------------------------------------------------------------------
-- Hotkeys.

local function add_hotkey(name, title, pressed, released, settings)
    local full_name = "obs_stylizer." .. name
    if hotkeys[full_name] then
        return
    end
    local number = obs.obs_hotkey_register_frontend(
        full_name,
        "obs-stylizer: " .. title,
        function(is_pressed)
            local body = is_pressed and pressed or released
            if body then
                send(keys, "POST", "/api/command", body, take_answer, not is_pressed)
                -- On most systems a connection within the machine is there at once.
                move_on(keys)
            end
        end
    )
    if number == nil or number == obs.OBS_INVALID_HOTKEY_ID then
        return
    end
    hotkeys[full_name] = number
    if settings then
        local bindings = obs.obs_data_get_array(settings, full_name)
        obs.obs_hotkey_load(number, bindings)
        obs.obs_data_array_release(bindings)
    end
end

local function json_text(text)
    return '"' .. text:gsub('[%c"\\]', function(char)
        return string.format("\\u%04x", char:byte())
    end) .. '"'
end

local function add_preset(name, title, settings)
    if name == "" then
        return
    end
    for _, known in ipairs(presets) do
        if known.name == name then
            known.title = title
            return
        end
    end
    table.insert(presets, { name = name, title = title })
    local body = '{"command": "preset", "name": ' .. json_text(name) .. "}"
    add_hotkey("preset." .. name, "preset " .. title, body, nil, settings)
end

local function each_preset(data, take)
    local list = obs.obs_data_get_array(data, "presets")
    if list == nil then
        return
    end
    for place = 0, obs.obs_data_array_count(list) - 1 do
        local item = obs.obs_data_array_item(list, place)
        take(obs.obs_data_get_string(item, "name"), obs.obs_data_get_string(item, "title"))
        obs.obs_data_release(item)
    end
    obs.obs_data_array_release(list)
end

-- Keys that OBS keeps for a preset that was not known at the start are given back to it.
local saved_settings = nil

local function take_presets(status, body)
    if status ~= 200 then
        return
    end
    read_json(body, function(data)
        each_preset(data, function(name, title)
            add_preset(name, title, saved_settings)
        end)
    end)
end

local function turn()
    if not is_loaded then
        return
    end
    local time = now()
    if time >= ask_status_at then
        ask_status_at = time + STATUS_SECONDS
        send(questions, "GET", "/api/status", "", take_status)
    end
    if is_reached and time >= ask_presets_at then
        ask_presets_at = time + PRESETS_SECONDS
        send(questions, "GET", "/api/presets", "", take_presets)
    end
    for _, lane in ipairs({ keys, questions }) do
        if lane.current or #lane.waiting > 0 then
            move_on(lane)
        end
    end
end

------------------------------------------------------------------------------------------------
-- What OBS calls.

function script_description()
    return "<b>obs-stylizer</b><br>Hotkeys for every preset and command: "
        .. "see <i>Settings, Hotkeys</i>, after this script was loaded."
end

function script_defaults(settings)
    obs.obs_data_set_default_string(settings, "address", DEFAULT_ADDRESS)
end

function script_update(settings)
    address = obs.obs_data_get_string(settings, "address"):gsub("^%s*http://", ""):gsub("[%s/]+$", "")
    given_token = obs.obs_data_get_string(settings, "token"):gsub("[%c%s]", "")
    find_token()
    ask_status_at = 0.0
    ask_presets_at = 0.0
end

function script_load(settings)
    if not has_ffi then
        state = "this OBS cannot reach it: its Lua has no FFI. Use obs-stylizer's own hotkeys."
        obs.script_log(obs.LOG_WARNING, state)
        return
    end
    for _, command in ipairs(COMMANDS) do
        add_hotkey(command[1], command[2], command[3], command[4], settings)
    end
    -- Those of last time, so that their keys work before the daemon has told of them.
    each_preset(settings, function(name, title)
        add_preset(name, title, settings)
    end)
    obs.obs_data_addref(settings)
    saved_settings = settings
    -- Not script_tick: OBS may call that while it is still loading the script, and crash.
    obs.timer_add(turn, TURN_MILLISECONDS)
end

function script_save(settings)
    for name, number in pairs(hotkeys) do
        local bindings = obs.obs_hotkey_save(number)
        obs.obs_data_set_array(settings, name, bindings)
        obs.obs_data_array_release(bindings)
    end
    local list = obs.obs_data_array_create()
    for _, preset in ipairs(presets) do
        local item = obs.obs_data_create()
        obs.obs_data_set_string(item, "name", preset.name)
        obs.obs_data_set_string(item, "title", preset.title)
        obs.obs_data_array_push_back(list, item)
        obs.obs_data_release(item)
    end
    obs.obs_data_set_array(settings, "presets", list)
    obs.obs_data_array_release(list)
end

-- Without the token: other accounts see with what a browser is started. One that was let in once
-- has a cookie.
local function panel_url()
    return "http://" .. address .. "/"
end

function script_properties()
    local properties = obs.obs_properties_create()
    obs.obs_properties_add_text(properties, "address", "Address", obs.OBS_TEXT_DEFAULT)
    local secret =
        obs.obs_properties_add_text(properties, "token", "Token", obs.OBS_TEXT_PASSWORD)
    obs.obs_property_set_long_description(
        secret,
        "Needed only if obs-stylizer runs on another machine or as another user: what is in the "
            .. "file “token” beside its settings. Without it recordings and snapshots are refused."
    )
    obs.obs_properties_add_text(properties, "state", state, obs.OBS_TEXT_INFO)
    obs.obs_properties_add_button(properties, "look", "Look again", function(shown)
        obs.obs_property_set_description(obs.obs_properties_get(shown, "state"), state)
        obs.obs_property_button_set_url(obs.obs_properties_get(shown, "panel"), panel_url())
        return true
    end)
    -- OBS itself opens the address: starting a browser from here could make it wait.
    local panel = obs.obs_properties_add_button(properties, "panel", "Open the panel", function()
        return false
    end)
    obs.obs_property_button_set_type(panel, obs.OBS_BUTTON_URL)
    obs.obs_property_button_set_url(panel, panel_url())
    return properties
end

function script_unload()
    -- The timer is OBS's to remove: timer_remove makes OBS crash here.
    is_loaded = false
    for _, lane in ipairs({ keys, questions }) do
        if lane.current and lane.current.socket then
            sockets.close(lane.current.socket)
        end
        lane.current = nil
        lane.waiting = {}
    end
    if saved_settings then
        obs.obs_data_release(saved_settings)
        saved_settings = nil
    end
end
