-- obs-stylizer-filter.lua: a style on any source of OBS, as a filter.
--
-- In OBS: Tools, Scripts, “+”, this file. “obs-stylizer” is then among the effect filters of every
-- source, group and scene. It hands the frames of its source to the daemon through a mapped file
-- and shows those that come back; while none do, the source is shown as it is.
--
-- Rules that must not be broken:
--  * OBS draws with its graphics lock held and then wants this script's lock; it calls create,
--    update and destroy with this script's lock held. So nothing but video_render and script_unload
--    may touch the graphics (obs-studio #6674): OBS would hang. What destroy leaves over waits in
--    a list for the next video_render.
--  * A filter may be taken off by one thread while another draws it: its parent and its target are
--    read once and looked at, see draw_plain.
--  * One filter of this script around another hangs OBS: see refuse_to_surround.
--  * Nothing here waits for the daemon, and this script has no timer, tick or signal handler.
--
-- Run on Linux with OpenGL. The parts for Windows, macOS and Flatpak were written from their
-- documentation and have not been run.

local obs = obslua
local has_ffi, ffi = pcall(require, "ffi")

local ID = "obs_stylizer_filter"
local VERSION = 1 -- Of the mapped file. Both sides refuse any other.
local HEADER_BYTES = 4096
local SLOTS = 3
local NONE = 99
local STAGES = 3
local SIGN_SECONDS = 0.25 -- Between two looks for a daemon.
local RETRY_SECONDS = 10.0 -- After memory could not be had.
local NAME_SECONDS = 1.0
local FRESH_SECONDS = 0.45 -- An older answer is not shown, unless the daemon asks for more time.
local ALIVE_SECONDS = 0.35 -- A daemon without a sign of life for so long was killed or stopped.
local UNSEEN_SECONDS = 0.3 -- A source that is drawn so seldom was not on air meanwhile.
local MOST_SECONDS = 10.0 -- The daemon may ask for more time than that in vain.
local LEAST_SIDE, MOST_SIDE = 16, 8192
local SLOW_MAP_SECONDS = 0.001
local PANEL = "http://127.0.0.1:8765/"
local HDR = "The source is HDR: with this filter it is shown as SDR, tone-mapped."
local GS_CS_SRGB, GS_CS_709_EXTENDED = 0, 2
local HELP = "Start it with: obs-stylizer run --source obs-filter"

if not has_ffi then
    function script_description()
        return "<b>obs-stylizer filter</b><br>This OBS's Lua has no FFI: the filter cannot work here."
    end
    obs.script_log(obs.LOG_WARNING, "this OBS's Lua has no FFI: the filter cannot work here")
    return
end

-- All work is in C already, and code compiled at run time must never come back into Lua from it.
jit.off()

ffi.cdef([[
typedef struct { void *type; int own; void *ptr; } sf_swig;
typedef struct __attribute__((aligned(16))) { float x, y, z, w; } sf_vec4;
void *gs_texrender_create(int format, int zsformat);
void gs_texrender_destroy(void *t);
bool gs_texrender_begin_with_color_space(void *t, uint32_t cx, uint32_t cy, int space);
void gs_texrender_end(void *t);
void gs_texrender_reset(void *t);
void *gs_texrender_get_texture(const void *t);
void *gs_stagesurface_create(uint32_t width, uint32_t height, int format);
void gs_stagesurface_destroy(void *s);
bool gs_stagesurface_map(void *s, uint8_t **data, uint32_t *linesize);
void gs_stagesurface_unmap(void *s);
void gs_stage_texture(void *dst, void *src);
void *gs_texture_create(uint32_t w, uint32_t h, int format, uint32_t levels, const uint8_t **data, uint32_t flags);
void gs_texture_destroy(void *t);
void gs_texture_set_image(void *t, const uint8_t *data, uint32_t linesize, bool invert);
void gs_clear(uint32_t flags, const sf_vec4 *color, float depth, uint8_t stencil);
void gs_ortho(float l, float r, float t, float b, float n, float f);
void gs_blend_state_push(void);
void gs_blend_state_pop(void);
void gs_blend_function(int src, int dst);
void gs_blend_function_separate(int sc, int dc, int sa, int da);
void gs_enable_blending(bool enable);
bool gs_get_linear_srgb(void);
bool gs_framebuffer_srgb_enabled(void);
void gs_enable_framebuffer_srgb(bool enable);
void *obs_get_base_effect(int effect);
void *gs_effect_get_param_by_name(const void *effect, const char *name);
void gs_effect_set_texture(void *param, void *tex);
void gs_effect_set_texture_srgb(void *param, void *tex);
bool gs_effect_loop(void *effect, const char *name);
void gs_draw_sprite(void *tex, uint32_t flip, uint32_t w, uint32_t h);
uint64_t os_gettime_ns(void);
uint64_t obs_get_video_frame_time(void);
void obs_enter_graphics(void);
void obs_leave_graphics(void);
void *obs_filter_get_parent(const void *filter);
void *obs_filter_get_target(const void *filter);
int obs_source_get_color_space(void *source, size_t count, const int *preferred);

typedef struct {
  volatile uint32_t begun, finished, sequence, width, height, stride;
  volatile double stamp;
  uint32_t pad[8];
} sf_slot;
typedef struct { volatile uint32_t newest, reading, published, pad[13]; sf_slot slots[3]; } sf_channel;
typedef struct {
  char magic[8];
  uint32_t version;
  volatile uint32_t daemon_version;
  uint32_t header_bytes, slot_bytes, slots, obs_pid;
  volatile uint32_t closed, source_width, source_height, drawn;
  volatile double fps, drawn_at;
  volatile uint32_t beat, daemon_pid, wanted_width, wanted_height;
  volatile double fresh_ms;
  uint32_t pad1[10];
  char source_name[256], filter_name[256], preset[192];
  char state[256], on_air[128], panel[128];
  uint32_t pad2[48];
  sf_channel to_daemon, to_obs;
  char presets[2048];
} sf_header;
]])
assert(ffi.sizeof("sf_channel") == 256 and ffi.sizeof("sf_header") == HEADER_BYTES)
assert(ffi.offsetof("sf_header", "to_daemon") == 1536)

local is_windows = ffi.os == "Windows"
local C = is_windows and ffi.load("obs") or ffi.C

local zero = ffi.new("sf_vec4")
local data_out, size_out = ffi.new("uint8_t*[1]"), ffi.new("uint32_t[1]")

local function now()
    return tonumber(C.os_gettime_ns()) / 1e9
end

local function log(level, text)
    obs.script_log(level, text)
end

------------------------------------------------------------------------------------------------
-- The system: folder, files, memory, and a full barrier.
--
-- folder() gives where daemon and filters meet; read_sign() what a daemon left there; make_file()
-- a mapped file of zeros that is all there, or nil and why not; drop_file() takes it away.

local system = {}

if is_windows then
    ffi.cdef([[
    uint32_t GetEnvironmentVariableW(const uint16_t *name, uint16_t *buffer, uint32_t size);
    int MultiByteToWideChar(uint32_t page, uint32_t flags, const char *text, int bytes, uint16_t *wide, int size);
    int CreateDirectoryW(const uint16_t *path, void *security);
    void *CreateFileW(const uint16_t *path, uint32_t access, uint32_t share, void *security,
        uint32_t creation, uint32_t flags, void *template);
    int ReadFile(void *file, void *buffer, uint32_t size, uint32_t *read, void *overlapped);
    int WriteFile(void *file, const void *buffer, uint32_t size, uint32_t *written, void *overlapped);
    int DeleteFileW(const uint16_t *path);
    int CloseHandle(void *handle);
    void *CreateFileMappingW(void *file, void *security, uint32_t protect, uint32_t high, uint32_t low, const uint16_t *name);
    void *MapViewOfFile(void *mapping, uint32_t access, uint32_t high, uint32_t low, size_t size);
    int UnmapViewOfFile(const void *address);
    uint32_t GetCurrentProcessId(void);
    void InitializeCriticalSection(void *section);
    void EnterCriticalSection(void *section);
    void LeaveCriticalSection(void *section);
    ]])
    local kernel = ffi.load("kernel32")
    local section = ffi.new("uint64_t[16]")
    kernel.InitializeCriticalSection(section)
    local INVALID = ffi.cast("void*", ffi.cast("intptr_t", -1))

    local function wide(text)
        local size = kernel.MultiByteToWideChar(65001, 0, text, #text, nil, 0)
        local made = ffi.new("uint16_t[?]", size + 1)
        kernel.MultiByteToWideChar(65001, 0, text, #text, made, size)
        return made, size
    end

    -- Environment and paths are UTF-16: os.getenv and io.open would lose a user's name.
    local function path_of(tail)
        local base = ffi.new("uint16_t[32768]")
        local length = kernel.GetEnvironmentVariableW((wide("LOCALAPPDATA")), base, 32000)
        if length == 0 or length > 31000 then
            return nil
        end
        local added, size = wide(tail)
        ffi.copy(base + length, added, 2 * (size + 1))
        return base
    end

    local FOLDER = "\\obs-stylizer\\obs"

    function system.folder()
        return "%LOCALAPPDATA%" .. FOLDER
    end

    function system.read_sign()
        local path = path_of(FOLDER .. "\\daemon")
        local file = path and kernel.CreateFileW(path, 0x80000000, 7, nil, 3, 0, nil)
        if not file or file == INVALID then
            return nil
        end
        local buffer, count = ffi.new("char[200]"), ffi.new("uint32_t[1]")
        local ok = kernel.ReadFile(file, buffer, 200, count, nil) ~= 0
        kernel.CloseHandle(file)
        return ok and ffi.string(buffer, count[0]) or nil
    end

    function system.make_file(name, size)
        for _, part in ipairs({ "\\obs-stylizer", FOLDER }) do
            local folder = path_of(part)
            if folder then
                kernel.CreateDirectoryW(folder, nil)
            end
        end
        local path = path_of(FOLDER .. "\\" .. name)
        -- Not shared for deleting: the daemon sees by it that we live. FILE_ATTRIBUTE_TEMPORARY.
        local file = path and kernel.CreateFileW(path, 0xC0000000, 3, nil, 1, 0x100, nil)
        if not file or file == INVALID then
            return nil, "no file can be made in " .. system.folder()
        end
        local mapping = kernel.CreateFileMappingW(file, nil, 4, 0, size, nil) -- PAGE_READWRITE
        local at = mapping ~= nil and kernel.MapViewOfFile(mapping, 0xF001F, 0, 0, size) or nil
        if mapping ~= nil then
            kernel.CloseHandle(mapping)
        end
        if at == nil then
            kernel.CloseHandle(file)
            kernel.DeleteFileW(path)
            return nil, string.format("%.0f MB cannot be had in %s", size / 1e6, system.folder())
        end
        return { at = at, file = file, path = path }
    end

    function system.drop_file(made)
        kernel.UnmapViewOfFile(made.at)
        kernel.CloseHandle(made.file)
        kernel.DeleteFileW(made.path)
    end

    function system.pid()
        return kernel.GetCurrentProcessId()
    end

    function system.fence()
        kernel.EnterCriticalSection(section)
        kernel.LeaveCriticalSection(section)
        kernel.EnterCriticalSection(section)
        kernel.LeaveCriticalSection(section)
    end
else
    ffi.cdef([[
    int open(const char *path, int flags, ...);
    int close(int file);
    int flock(int file, int operation);
    int ftruncate(int file, intptr_t size);
    int posix_fallocate(int file, intptr_t from, intptr_t size);
    intptr_t write(int file, const void *data, size_t size);
    int mkdir(const char *path, unsigned int mode);
    int fchmod(int file, unsigned int mode);
    int unlink(const char *path);
    void *mmap(void *address, size_t size, int protection, int flags, int file, intptr_t offset);
    int munmap(void *address, size_t size);
    int getpid(void);
    unsigned int getuid(void);
    int pthread_mutex_init(void *mutex, const void *attributes);
    int pthread_mutex_lock(void *mutex);
    int pthread_mutex_unlock(void *mutex);
    ]])
    local is_linux = ffi.os == "Linux"
    local mutex = ffi.new("uint64_t[16]")
    ffi.C.pthread_mutex_init(mutex, nil)
    -- O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_CLOEXEC; O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC.
    local NEW, FOLDER = 0x1000B02, 0x1100100 -- macOS
    if is_linux then
        local no_follow, directory = 0x20000, 0x10000
        if ffi.arch:match("^arm") then
            no_follow, directory = 0x8000, 0x4000
        end
        NEW, FOLDER = 0x800C2 + no_follow, 0x80000 + no_follow + directory
    end

    local function choose_folder()
        if not is_linux then
            return (os.getenv("HOME") or "") .. "/Library/Application Support/obs-stylizer/obs"
        end
        local run = os.getenv("XDG_RUNTIME_DIR")
        if not run or run == "" then
            return "/dev/shm/obs-stylizer-" .. ffi.C.getuid()
        end
        -- In a Flatpak, only this one has the same name inside and outside.
        local app = os.getenv("FLATPAK_ID")
        if app and app ~= "" then
            run = run .. "/app/" .. app
        end
        return run .. "/obs-stylizer"
    end
    local folder = choose_folder()

    function system.folder()
        return folder
    end

    function system.read_sign()
        local file = io.open(folder .. "/daemon", "r")
        if not file then
            return nil
        end
        local text = file:read(200)
        file:close()
        return text
    end

    -- Makes sure that the folder is ours alone: only its owner may set its mode.
    local function own_folder()
        if not is_linux then
            ffi.C.mkdir((folder:gsub("/obs$", "")), 448)
        end
        ffi.C.mkdir(folder, 448) -- 0700
        local opened = ffi.C.open(folder, FOLDER)
        if opened < 0 then
            return false
        end
        local ours = ffi.C.fchmod(opened, 448) == 0
        ffi.C.close(opened)
        return ours
    end

    -- Memory that was only promised ends OBS with a bus error once there is no more.
    local function allocate(file, size)
        if is_linux then
            return ffi.C.posix_fallocate(file, 0, size) == 0
        end
        local block = ffi.new("char[65536]")
        for at = 0, size - 1, 65536 do
            local count = math.min(65536, size - at)
            if ffi.C.write(file, block, count) ~= count then
                return false
            end
        end
        return true
    end

    function system.make_file(name, size)
        if not own_folder() then
            return nil, folder .. " cannot be made, or is another user's"
        end
        local path = folder .. "/" .. name
        local file = ffi.C.open(path, NEW, ffi.cast("int", 384)) -- 0600
        if file < 0 then
            return nil, "no file can be made in " .. folder
        end
        ffi.C.flock(file, 6) -- LOCK_EX, LOCK_NB: the daemon sees by it whether we live.
        local at = nil
        if allocate(file, size) then
            at = ffi.C.mmap(nil, size, 3, 1, file, 0) -- PROT_READ, PROT_WRITE; MAP_SHARED
        end
        if at == nil or ffi.cast("intptr_t", at) == -1 then
            ffi.C.close(file)
            ffi.C.unlink(path)
            return nil, string.format("%.0f MB cannot be had in %s: it is full", size / 1e6, folder)
        end
        return { at = at, file = file, path = path, size = size }
    end

    function system.drop_file(made)
        ffi.C.unlink(made.path)
        ffi.C.munmap(made.at, made.size)
        ffi.C.close(made.file)
    end

    function system.pid()
        return ffi.C.getpid()
    end

    -- Two lock and unlock pairs order memory on every processor; LuaJIT has nothing of its own.
    function system.fence()
        ffi.C.pthread_mutex_lock(mutex)
        ffi.C.pthread_mutex_unlock(mutex)
        ffi.C.pthread_mutex_lock(mutex)
        ffi.C.pthread_mutex_unlock(mutex)
    end
end

local fence = system.fence

------------------------------------------------------------------------------------------------
-- The mapped file.

local made_count = 0

local function put_text(field, text)
    local most = ffi.sizeof(field) - 1
    text = (text or ""):sub(1, most)
    ffi.copy(field, text)
end

local function get_text(field)
    local text = ffi.string(field, ffi.sizeof(field))
    return text:match("^[^%z]*")
end

-- Makes the file once a daemon has left a sign, and as large as that needs.
local function look_for_daemon(it, time)
    if time < it.look_at then
        return
    end
    it.look_at = time + SIGN_SECONDS
    local sign = system.read_sign()
    local width, height = (sign or ""):match("^obs%-stylizer %d+ (%d+)x(%d+)")
    width, height = tonumber(width), tonumber(height)
    if not width or width < 1 or height < 1 or width > MOST_SIDE or height > MOST_SIDE then
        it.trouble = nil
        return
    end
    local slot_bytes = math.ceil(width * height * 4 / 4096) * 4096
    made_count = made_count + 1
    local name = string.format("filter-%d-%d-%d.map", system.pid(), made_count, math.floor(time * 1000) % 1e9)
    local made, why = system.make_file(name, HEADER_BYTES + 2 * SLOTS * slot_bytes)
    if not made then
        if it.trouble ~= why then
            log(obs.LOG_WARNING, why .. "; the source is shown as it is")
        end
        it.trouble, it.look_at = why, time + RETRY_SECONDS
        return
    end
    it.trouble = nil
    local head = ffi.cast("sf_header*", made.at)
    head.version, head.header_bytes, head.slot_bytes, head.slots = VERSION, HEADER_BYTES, slot_bytes, SLOTS
    head.obs_pid = system.pid()
    for _, channel in ipairs({ head.to_daemon, head.to_obs }) do
        channel.newest, channel.reading = NONE, NONE
    end
    fence()
    ffi.copy(head.magic, "OBSTYLZR", 8) -- Last: without it the file is not ready.
    it.file, it.head, it.slot_bytes = made, head, slot_bytes
    it.pixels = ffi.cast("uint8_t*", made.at) + HEADER_BYTES
    it.taken, it.beat, it.beat_at, it.name_at = 0, 0, nil, 0
end

local function drop_map(it)
    if it.file then
        it.head.closed = 1
        system.drop_file(it.file)
        it.file, it.head, it.pixels = nil, nil, nil
    end
end

-- Whether a source has brighter light than SDR knows. Lua's filters draw in SDR alone.
local function is_hdr(source)
    return source ~= nil and C.obs_source_get_color_space(source, 0, nil) >= GS_CS_709_EXTENDED
end

-- What OBS is set to; it may reach less.
local function frames_a_second()
    local video = obs.obs_video_info()
    if obs.obs_get_video_info(video) and video.fps_den > 0 then
        return video.fps_num / video.fps_den
    end
    return 0
end

local function describe(it, time)
    if time < it.name_at then
        return
    end
    it.name_at = time + NAME_SECONDS
    local parent = obs.obs_filter_get_parent(it.source)
    put_text(it.head.source_name, parent and obs.obs_source_get_name(parent))
    put_text(it.head.filter_name, obs.obs_source_get_name(it.source))
    put_text(it.head.preset, it.preset)
    it.head.fps = frames_a_second()
end

-- While it is drawn; else OBS would ask this filter itself.
local function look_for_hdr(it, time)
    if time < it.hdr_at then
        return
    end
    it.hdr_at = time + NAME_SECONDS
    local was = it.is_hdr
    it.is_hdr = is_hdr(C.obs_filter_get_target(it.pointer))
    if it.is_hdr and not was then
        log(obs.LOG_INFO, (obs.obs_source_get_name(it.source) or "") .. ": " .. HDR)
    end
end

------------------------------------------------------------------------------------------------
-- What is on the GPU.

local left_over = {}

local destroyers = {
    texrender = C.gs_texrender_destroy,
    stage = C.gs_stagesurface_destroy,
    texture = C.gs_texture_destroy,
}

local function leave(kind, pointer)
    if pointer ~= nil then
        table.insert(left_over, { kind, pointer })
    end
end

local function leave_all(it)
    leave("texrender", it.full)
    leave("texrender", it.small)
    leave("texture", it.texture)
    for which = 0, STAGES - 1 do
        leave("stage", it.stages[which])
    end
    it.full, it.small, it.texture, it.stages = nil, nil, nil, {}
end

-- With the graphics entered.
local function clear_up()
    for _, item in ipairs(left_over) do
        destroyers[item[1]](item[2])
    end
    left_over = {}
end

local function draw(texture, w, h, effect_number)
    local effect = C.obs_get_base_effect(effect_number)
    local before = C.gs_framebuffer_srgb_enabled()
    local linear = C.gs_get_linear_srgb()
    C.gs_enable_framebuffer_srgb(linear)
    local image = C.gs_effect_get_param_by_name(effect, "image")
    if linear then
        C.gs_effect_set_texture_srgb(image, texture)
    else
        C.gs_effect_set_texture(image, texture)
    end
    while C.gs_effect_loop(effect, "Draw") do
        C.gs_draw_sprite(texture, 0, w, h)
    end
    C.gs_enable_framebuffer_srgb(before)
end

local ONE, SRCALPHA, INVSRCALPHA = 1, 4, 5
local DEFAULT, LOWRES = 0, 6 -- OBS_EFFECT_DEFAULT, OBS_EFFECT_BILINEAR_LOWRES
local GS_RGBA, GS_DYNAMIC = 3, 2

-- Pictures with alpha here are premultiplied.
local function draw_over(texture, w, h)
    C.gs_blend_state_push()
    C.gs_blend_function(ONE, INVSRCALPHA)
    draw(texture, w, h, DEFAULT)
    C.gs_blend_state_pop()
end

-- The filter that is being drawn, while what is below it is drawn: that may be another one of this
-- script, which comes back into this Lua state.
local drawing = nil

local DRAWS_ITSELF = bit.bor(obs.OBS_SOURCE_CUSTOM_DRAW, obs.OBS_SOURCE_ASYNC)

local function address(source)
    return ffi.cast("sf_swig*", source).ptr
end

-- What obs_source_skip_video_filter does, with parent and target read once: one thread takes a
-- filter off while another draws it, and that function reads the parent without looking whether
-- there still is one. The parent lives on while it is drawn. By SWIG and not by FFI, since it may
-- come back here.
local function draw_plain(it)
    local parent, target = obs.obs_filter_get_parent(it.source), obs.obs_filter_get_target(it.source)
    if parent == nil or target == nil then
        return
    end
    local before = drawing
    drawing = it
    local draws_itself = bit.band(obs.obs_source_get_output_flags(parent), DRAWS_ITSELF) ~= 0
    if address(target) ~= address(parent) or draws_itself then
        -- A parent that is drawn through its filters does not begin with them again.
        pcall(obs.obs_source_video_render, target)
    else
        pcall(obs.obs_source_default_render, target)
    end
    drawing = before
end

-- Whoever saves a scene collection locks the filters of one source after another, and wants this
-- script's lock for each of ours; whoever draws ours around a scene has that lock, and wants those
-- of the sources within. One of ours around another therefore hangs OBS, and the outer one is
-- switched off.
local function refuse_to_surround(outer, inner)
    if outer == nil or outer.surrounds then
        return
    end
    local theirs, ours = C.obs_filter_get_parent(inner.pointer), C.obs_filter_get_parent(outer.pointer)
    if theirs == nil or ours == nil or theirs == ours then
        return -- Several on one source are drawn without those locks.
    end
    local within = obs.obs_source_get_name(obs.obs_filter_get_parent(inner.source)) or ""
    outer.surrounds = "Switched off: “" .. within .. "” within has this filter too, and OBS hangs where "
        .. "one surrounds another. Remove one of them, then switch this one on."
    log(obs.LOG_WARNING, (obs.obs_source_get_name(outer.source) or "") .. ": " .. outer.surrounds)
    obs.obs_source_set_enabled(outer.source, false)
end

local function render_into(texrender, w, h, cx, cy, what)
    C.gs_texrender_reset(texrender)
    if not C.gs_texrender_begin_with_color_space(texrender, w, h, GS_CS_SRGB) then
        return false
    end
    C.gs_blend_state_push()
    C.gs_clear(1, zero, 0, 0)
    C.gs_ortho(0, cx, 0, cy, -100, 100)
    what()
    C.gs_blend_state_pop()
    C.gs_texrender_end(texrender)
    return true
end

------------------------------------------------------------------------------------------------
-- The two ways of a picture.

-- Gives a picture that was staged some frames ago to the daemon.
local function read_back(it, which)
    local sequence = it.staged[which]
    if not sequence then
        return
    end
    it.staged[which] = nil
    local stage, began = it.stages[which], now()
    if stage == nil or not C.gs_stagesurface_map(stage, data_out, size_out) then
        return
    end
    -- A GPU that is more than a frame behind makes this wait: then ask for it a frame later.
    it.slow = 0.95 * it.slow + (now() - began > SLOW_MAP_SECONDS and 1 or 0)
    if it.slow > 5 and it.depth == 1 then
        it.depth = 2
        log(obs.LOG_INFO, "the GPU is slow to give pictures back: they are read two frames late")
    end
    local channel = it.head.to_daemon
    local newest, reading, free = channel.newest, channel.reading, 0
    for i = 0, SLOTS - 1 do
        if i ~= newest and i ~= reading then
            free = i
        end
    end
    local slot = channel.slots[free]
    slot.begun = (slot.begun + 1) % 0x100000000
    fence()
    local to, from, stride = it.pixels + free * it.slot_bytes, data_out[0], size_out[0]
    local row = it.w * 4
    if stride == row then
        ffi.copy(to, from, row * it.h)
    else
        for y = 0, it.h - 1 do
            ffi.copy(to + y * row, from + y * stride, row)
        end
    end
    C.gs_stagesurface_unmap(stage)
    slot.sequence, slot.width, slot.height, slot.stride = sequence, it.w, it.h, row
    slot.stamp = it.stamps[which]
    fence()
    slot.finished = slot.begun
    channel.newest = free
    channel.published = (channel.published + 1) % 0x100000000
end

-- Takes the newest picture of the daemon into the texture that is shown. Whatever the daemon
-- wrote is checked: it may be broken.
local function take(it, time)
    local channel = it.head.to_obs
    if channel.published == it.taken then
        return
    end
    for _ = 1, 3 do
        local i = channel.newest
        if i >= SLOTS then
            break
        end
        channel.reading = i
        fence()
        if channel.newest == i then
            local slot = channel.slots[i]
            local begun, w, h, stride = slot.begun, slot.width, slot.height, slot.stride
            local published, sequence = channel.published, slot.sequence
            if
                slot.finished == begun
                and w >= 1
                and h >= 1
                and w <= MOST_SIDE
                and h <= MOST_SIDE
                and stride >= w * 4
                and stride * h <= it.slot_bytes
            then
                if it.texture == nil or it.tw ~= w or it.th ~= h then
                    leave("texture", it.texture)
                    it.texture = C.gs_texture_create(w, h, GS_RGBA, 1, nil, GS_DYNAMIC)
                    it.tw, it.th = w, h
                end
                if it.texture == nil then
                    break
                end
                C.gs_texture_set_image(it.texture, it.pixels + (SLOTS + i) * it.slot_bytes, stride, false)
                fence()
                it.has_picture = slot.begun == begun
                if it.has_picture then
                    it.taken, it.shown, it.taken_at = published, sequence, time
                    break
                end
            end
        end
    end
    channel.reading = NONE
end

local function version_trouble(theirs)
    return string.format(
        "This script speaks version %d of the filter's protocol, the obs-stylizer that runs version %d. "
            .. "Update the older one; the script comes with the program.",
        VERSION,
        theirs
    )
end

-- Whether a daemon of our version gave a sign of life lately.
local function is_served(it, time)
    local head = it.head
    local theirs = head.daemon_version
    if theirs ~= 0 and theirs ~= VERSION and theirs ~= it.refused then
        it.refused = theirs
        log(obs.LOG_WARNING, version_trouble(theirs))
    end
    if head.beat ~= it.beat then
        it.beat, it.beat_at = head.beat, time
    end
    it.fresh_seconds = math.min(MOST_SECONDS, math.max(0, head.fresh_ms / 1000))
    if it.fresh_seconds ~= it.fresh_seconds then -- not a number
        it.fresh_seconds = 0
    end
    return theirs == VERSION
        and it.beat ~= 0
        and it.beat_at ~= nil
        and time - it.beat_at < ALIVE_SECONDS
end

local function make_stages(it, w, h)
    for which = 0, STAGES - 1 do
        leave("stage", it.stages[which])
        it.stages[which] = C.gs_stagesurface_create(w, h, GS_RGBA)
    end
    it.staged, it.w, it.h = {}, w, h
end

-- Once for each frame of OBS in which the source is seen.
local function step(it, cx, cy, time)
    if #left_over > 0 then
        clear_up()
    end
    it.frame = (it.frame + 1) % 0x100000000
    look_for_hdr(it, time)
    if not it.head then
        look_for_daemon(it, time)
        if not it.head then
            return
        end
    end
    local head = it.head
    describe(it, time)
    head.source_width, head.source_height = cx, cy
    head.drawn, head.drawn_at = it.frame, time
    local unseen = time - (it.stepped_at or time)
    if unseen > UNSEEN_SECONDS then
        -- Answers do not age meanwhile: the last one is better than a flash of the plain source.
        it.staged, it.taken_at = {}, (it.taken_at or 0) + unseen
    end
    it.stepped_at = time
    local w, h = head.wanted_width, head.wanted_height
    local sound = w >= LEAST_SIDE and h >= LEAST_SIDE and w <= MOST_SIDE and h <= MOST_SIDE
    if not is_served(it, time) or not sound or w * h * 4 > it.slot_bytes then
        it.has_picture, it.staged = false, {}
        return
    end
    read_back(it, (it.frame - it.depth) % STAGES)
    if w ~= it.w or h ~= it.h then
        make_stages(it, w, h)
    end
    it.full = it.full or C.gs_texrender_create(GS_RGBA, 0)
    it.small = it.small or C.gs_texrender_create(GS_RGBA, 0)
    local ok = render_into(it.full, cx, cy, cx, cy, function()
        C.gs_blend_function_separate(SRCALPHA, INVSRCALPHA, ONE, INVSRCALPHA)
        draw_plain(it)
    end)
    -- What was drawn may have been this very filter's end.
    local full = ok and it.full and C.gs_texrender_get_texture(it.full) or nil
    if full ~= nil then
        it.full_at = it.frame_time
        ok = render_into(it.small, w, h, w, h, function()
            C.gs_enable_blending(false)
            draw(full, w, h, cx > 2 * w and LOWRES or DEFAULT)
            C.gs_enable_blending(true)
        end)
        local which = it.frame % STAGES
        if ok and it.stages[which] ~= nil then
            C.gs_stage_texture(it.stages[which], C.gs_texrender_get_texture(it.small))
            it.staged[which], it.stamps[which] = it.frame, time
        end
    end
    take(it, time)
end

------------------------------------------------------------------------------------------------
-- The filter, as OBS sees it.

-- OBS draws a source black whose filter has lost its script, unless the filter is switched off. So
-- every filter of ours is, with a note by which the script knows later that nobody else did it.
local NOTE = "switched_off_by_script"

local info = {
    id = ID,
    type = obs.OBS_SOURCE_TYPE_FILTER,
    output_flags = bit.bor(obs.OBS_SOURCE_VIDEO, obs.OBS_SOURCE_SRGB),
}

function info.get_name()
    return "obs-stylizer"
end

local function switch_on_again(source)
    local kept = obs.obs_source_get_private_settings(source)
    if obs.obs_data_get_bool(kept, NOTE) then
        obs.obs_data_erase(kept, NOTE)
        obs.obs_source_set_enabled(source, true)
    end
    obs.obs_data_release(kept)
end

-- A scene collection that is loaded has its say after create.
function info.load(it)
    switch_on_again(it.source)
end

function info.create(settings, source)
    switch_on_again(source)
    return {
        source = source,
        pointer = address(source),
        preset = obs.obs_data_get_string(settings, "preset"),
        frame = 0,
        look_at = 0,
        hdr_at = 0,
        depth = 1,
        slow = 0,
        stages = {},
        staged = {},
        stamps = {},
    }
end

function info.update(it, settings)
    it.preset = obs.obs_data_get_string(settings, "preset")
    it.name_at = 0
end

function info.destroy(it)
    leave_all(it)
    drop_map(it)
end

local function size(it)
    local target = obs.obs_filter_get_target(it.source)
    if target == nil then
        return 0, 0
    end
    return obs.obs_source_get_base_width(target), obs.obs_source_get_base_height(target)
end

function info.get_width(it)
    return (size(it))
end

function info.get_height(it)
    return select(2, size(it))
end

function info.video_render(it)
    refuse_to_surround(drawing, it)
    local cx, cy = size(it)
    if cx == 0 or cy == 0 then
        draw_plain(it)
        return
    end
    local time, frame_time = now(), tonumber(C.obs_get_video_frame_time())
    if drawing == nil and it.surrounds then
        it.surrounds = nil -- It was switched on again; whether that helps is seen now.
    end
    if frame_time ~= it.frame_time then -- Preview, program and projectors draw it several times.
        it.frame_time = frame_time
        step(it, cx, cy, time)
    end
    it.is_styled = it.has_picture
        and it.texture ~= nil
        and time - it.taken_at < math.max(FRESH_SECONDS, it.fresh_seconds)
    if it.is_styled then
        draw_over(it.texture, cx, cy)
    elseif it.full_at == frame_time and it.full ~= nil then
        -- It was drawn for the daemon; no need to draw it again.
        draw_over(C.gs_texrender_get_texture(it.full), cx, cy)
    else
        draw_plain(it)
    end
end

local function service_text(it)
    if it.surrounds then
        return it.surrounds
    end
    if it.trouble then
        return it.trouble .. ": the source is shown as it is"
    end
    local head = it.head
    if not head then
        return "No obs-stylizer is running, or this source is not shown.\n" .. HELP
    end
    local theirs = head.daemon_version
    if theirs ~= 0 and theirs ~= VERSION then
        return version_trouble(theirs)
    end
    if not is_served(it, now()) then
        return "obs-stylizer does not serve this filter now.\n" .. HELP
    end
    local lines = { get_text(head.state) }
    local on_air = get_text(head.on_air)
    if on_air ~= "" then
        table.insert(lines, "On air: " .. on_air)
    end
    table.insert(lines, string.format("It is given %d × %d", head.wanted_width, head.wanted_height))
    return table.concat(lines, "\n")
end

local function state_text(it)
    local text = service_text(it)
    return it.is_hdr and text .. "\n" .. HDR or text
end

local function panel_url(it)
    local url = it.head and get_text(it.head.panel) or ""
    return url:match("^http://[%w%.:%[%]/-]+$") or PANEL
end

function info.get_properties(it)
    local properties = obs.obs_properties_create()
    if not it then
        return properties
    end
    obs.obs_properties_add_text(properties, "state", state_text(it), obs.OBS_TEXT_INFO)
    local list = obs.obs_properties_add_list(
        properties,
        "preset",
        "Preset",
        obs.OBS_COMBO_TYPE_LIST,
        obs.OBS_COMBO_FORMAT_STRING
    )
    obs.obs_property_list_add_string(list, "what is on air", "")
    local known = it.preset == ""
    for name in (it.head and get_text(it.head.presets) or ""):gmatch("[^\n]+") do
        obs.obs_property_list_add_string(list, name, name)
        known = known or name == it.preset
    end
    if not known then
        obs.obs_property_list_add_string(list, it.preset, it.preset)
    end
    obs.obs_properties_add_button(properties, "look", "Look again", function(shown)
        obs.obs_property_set_description(obs.obs_properties_get(shown, "state"), state_text(it))
        return true
    end)
    -- OBS itself opens the address: starting a browser from here could make it wait.
    local panel = obs.obs_properties_add_button(properties, "panel", "Open the panel", function()
        return false
    end)
    obs.obs_property_button_set_type(panel, obs.OBS_BUTTON_URL)
    obs.obs_property_button_set_url(panel, panel_url(it))
    return properties
end

obs.obs_register_source(info)

function script_description()
    return "<b>obs-stylizer filter</b><br>A style on any source: <i>Filters ▸ Effect Filters ▸ + ▸ "
        .. "obs-stylizer</i>. While no daemon answers, sources are shown as they are."
end

local function switch_off(filter)
    if obs.obs_source_get_unversioned_id(filter) == ID and obs.obs_source_enabled(filter) then
        local kept = obs.obs_source_get_private_settings(filter)
        obs.obs_data_set_bool(kept, NOTE, true)
        obs.obs_data_release(kept)
        obs.obs_source_set_enabled(filter, false)
    end
end

local function switch_off_those_of(source)
    local filters = obs.obs_source_enum_filters(source)
    for _, filter in ipairs(filters or {}) do
        switch_off(filter)
    end
    obs.source_list_release(filters)
end

local function switch_all_off()
    for _, list in ipairs({ obs.obs_enum_sources() or {}, obs.obs_frontend_get_scenes() or {} }) do
        for _, source in ipairs(list) do
            switch_off_those_of(source)
        end
        obs.source_list_release(list)
    end
end

function script_unload()
    local ok, why = pcall(switch_all_off)
    if not ok then
        log(obs.LOG_WARNING, "filters could not be switched off: " .. tostring(why))
    end
    -- All filters were ended before, none is being drawn any more, and nothing else of this script
    -- runs with the graphics entered: so nobody who holds them can be waiting for our lock.
    C.obs_enter_graphics()
    clear_up()
    C.obs_leave_graphics()
end
