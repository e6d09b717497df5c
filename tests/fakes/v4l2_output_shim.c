/* Loaded before a program (LD_PRELOAD), makes it see v4l2loopback devices that do not exist.
 *
 * SHIM_DEVICES  the devices, such as "/dev/video40:/dev/video41"
 * SHIM_FOLDER   where, for a device "video40", the frames written go: video40.frames
 *               and where a test controls it by making files:
 *               video40.gone    it was unplugged: nothing opens it, open ones answer ENODEV
 *               video40.denied  it may not be opened (EACCES)
 *               video40.taken   another program writes to it: it offers no output
 *               video40.stuck   its last writer left it without output, until one announces itself
 *               video40.format  it keeps the format that this file holds: "640 480 YUYV"
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_FDS 1024
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct {
    char name[32]; /* "video40"; empty where the descriptor is not ours */
    struct v4l2_pix_format format;
    pid_t owner;
} opened[MAX_FDS];

static int find_device(const char *path, char *name, size_t room)
{
    const char *devices = getenv("SHIM_DEVICES");
    if (!devices || !path)
        return 0;
    size_t length = strlen(path);
    for (const char *at = devices; *at; at += strcspn(at, ":"), at += *at == ':') {
        if (strcspn(at, ":") == length && !strncmp(at, path, length)) {
            const char *slash = strrchr(path, '/');
            snprintf(name, room, "%s", slash ? slash + 1 : path);
            return 1;
        }
    }
    return 0;
}

static void file_of(const char *name, const char *suffix, char *path, size_t room)
{
    const char *folder = getenv("SHIM_FOLDER");
    snprintf(path, room, "%s/%s.%s", folder ? folder : ".", name, suffix);
}

static int is_set(const char *name, const char *suffix)
{
    char path[512];
    file_of(name, suffix, path, sizeof path);
    return access(path, F_OK) == 0;
}

static int open_device(const char *name)
{
    char path[512];
    if (is_set(name, "gone") || is_set(name, "denied")) {
        errno = is_set(name, "gone") ? ENOENT : EACCES;
        return -1;
    }
    file_of(name, "frames", path, sizeof path);
    int fd = NEXT(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0 && fd < MAX_FDS) {
        memset(&opened[fd], 0, sizeof opened[fd]);
        strcpy(opened[fd].name, name);
        opened[fd].owner = getpid();
    }
    return fd;
}

static int is_ours(int fd)
{
    return fd >= 0 && fd < MAX_FDS && opened[fd].name[0];
}

/* What open() and its brothers have in common: their third argument, and our devices. */
#define TRY_OUR_DEVICES                                                                                 \
    char name[32];                                                                                \
    mode_t mode = 0;                                                                              \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                          \
        va_list list;                                                                             \
        va_start(list, flags);                                                                    \
        mode = va_arg(list, mode_t);                                                              \
        va_end(list);                                                                             \
    }                                                                                             \
    if (find_device(path, name, sizeof name))                                                     \
        return open_device(name)

int open(const char *path, int flags, ...)
{
    TRY_OUR_DEVICES;
    return NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    TRY_OUR_DEVICES;
    return NEXT(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    TRY_OUR_DEVICES;
    return NEXT(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    TRY_OUR_DEVICES;
    return NEXT(openat64)(folder, path, flags, mode);
}

static int describe(const char *name, struct v4l2_capability *answer)
{
    memset(answer, 0, sizeof *answer);
    strcpy((char *)answer->driver, "v4l2 loopback");
    snprintf((char *)answer->card, sizeof answer->card, "Shim %s", name);
    strcpy((char *)answer->bus_info, "platform:v4l2loopback-000");
    answer->device_caps = V4L2_CAP_READWRITE | V4L2_CAP_STREAMING;
    if (!is_set(name, "stuck"))
        answer->device_caps |=
            is_set(name, "taken") ? V4L2_CAP_VIDEO_CAPTURE : V4L2_CAP_VIDEO_OUTPUT;
    answer->capabilities = answer->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int kept_format(const char *name, struct v4l2_pix_format *format)
{
    char path[512], code[8] = "";
    file_of(name, "format", path, sizeof path);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    int found = fscanf(file, "%u %u %4s", &format->width, &format->height, code);
    fclose(file);
    memcpy(&format->pixelformat, code, 4);
    return found == 3;
}

static int set_format(int fd, struct v4l2_format *format)
{
    struct v4l2_pix_format *picture = &format->fmt.pix;
    if (format->type != V4L2_BUF_TYPE_VIDEO_OUTPUT || picture->pixelformat != V4L2_PIX_FMT_YUV420) {
        errno = EINVAL;
        return -1;
    }
    picture->bytesperline = picture->width;
    picture->sizeimage = picture->width * picture->height * 3 / 2;
    /* As v4l2loopback does: a format that somebody holds is kept, without an error. */
    kept_format(opened[fd].name, picture);
    opened[fd].format = *picture;
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!is_ours(fd))
        return NEXT(ioctl)(fd, request, argument);
    if (is_set(opened[fd].name, "gone")) {
        errno = ENODEV;
        return -1;
    }
    switch (request & 0xffffffffUL) {
    case VIDIOC_QUERYCAP:
        return describe(opened[fd].name, argument);
    case VIDIOC_S_FMT:
        return set_format(fd, argument);
    case VIDIOC_G_FMT: {
        struct v4l2_format *format = argument;
        format->fmt.pix = opened[fd].format;
        kept_format(opened[fd].name, &format->fmt.pix);
        return 0;
    }
    case VIDIOC_STREAMON: {
        char path[512];
        file_of(opened[fd].name, "stuck", path, sizeof path);
        unlink(path);
        return 0;
    }
    default:
        errno = ENOTTY;
        return -1;
    }
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (is_ours(fd) && is_set(opened[fd].name, "gone")) {
        errno = ENODEV;
        return -1;
    }
    return NEXT(write)(fd, bytes, count);
}

int close(int fd)
{
    /* A child that starts another program closes all it got, in the memory of its parent. */
    if (is_ours(fd) && opened[fd].owner == getpid())
        opened[fd].name[0] = 0;
    return NEXT(close)(fd);
}
