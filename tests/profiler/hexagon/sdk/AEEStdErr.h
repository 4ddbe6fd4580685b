/* What the glue uses of the Hexagon SDK's header of this name, so that it can be compiled and run without the SDK. */
#define AEE_SUCCESS 0
#define AEE_ENOMEMORY 2
#define AEE_EBADPARM 14
