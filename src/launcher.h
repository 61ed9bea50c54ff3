/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The process that starts workers where they are needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_LAUNCHER_H
#define DS_LAUNCHER_H

extern void RegisterLauncher(void);

#endif							/* DS_LAUNCHER_H */
